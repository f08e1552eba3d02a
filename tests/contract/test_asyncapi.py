"""The AsyncAPI document is valid, is the committed one, and tells the truth about every message."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from interfaces.events.asyncapi import PROTOS, document
from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.old_forms import OldForm
from interfaces.events.published import Message, tell
from interfaces.events.telling import Pii
from tests.nats.test_old_forms import FORMS, NAMES, OF_MAGISTRALA, OF_MAINFLUX
from tests.nats.test_old_forms import told as told_of_old
from tests.nats.test_published import IDS, SAMPLES, TOLD, recorded

ROOT = Path(__file__).parents[2]
COPY = ROOT / "docs" / "asyncapi.json"
OFFICIAL = Path(__file__).parent / "schemas" / "asyncapi-3.0.0.json"
RELEASED = ROOT / "tests" / "golden" / "published_language.json"

OPERATIONS = [(form, operation.name) for form in FORMS for operation in form.told()]
OPERATION_IDS = [f"{form.name}-{name}" for form, name in OPERATIONS]
PIIS: list[Pii] = ["full", "none"]


@cache
def components() -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]
    return found


def assert_fits(schema: str, value: Any) -> None:
    """A value against a schema of the document."""
    schemas = {name: found for name, found in components()["schemas"].items() if "schemaFormat" not in found}
    asked = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": schemas}}
    validator = jsonschema_rs.Draft202012Validator(asked, validate_formats=True)
    assert [error.message for error in validator.iter_errors(value)] == []


def named(schema: str) -> set[str]:
    """The fields that a schema speaks of."""
    found = components()["schemas"][schema]
    properties = set(found.get("properties", ()))
    for part in found.get("allOf", ()):
        properties |= set(part.get("properties", ()))
        if "$ref" in part:
            properties |= named(part["$ref"].rpartition("/")[2])
    return properties


def test_the_document_is_valid_by_the_official_schema() -> None:
    validator = jsonschema_rs.validator_for(json.loads(OFFICIAL.read_text("utf-8")))
    assert [error.message for error in validator.iter_errors(document())] == []


def test_the_committed_copy_is_the_one_the_table_makes() -> None:
    assert json.loads(COPY.read_text("utf-8")) == document(), (
        "What is published has changed. Look at what the change means to consumers, then write the copy "
        "anew: python -m interfaces.events > docs/asyncapi.json"
    )


@pytest.mark.parametrize("pii", PIIS)
@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_every_message_is_as_the_document_says_in_both_modes(stored: str, message: Message, pii: Pii) -> None:
    event = recorded(SAMPLES[stored])
    structured = json.loads(tell(event, pii).body)
    assert_fits(message.name, structured)
    assert structured.keys() <= named(message.name)
    binary = tell(event, pii, "binary")
    assert_fits(f"{message.name}.headers", dict(binary.headers))
    assert binary.headers.keys() <= named(f"{message.name}.headers")
    data = json.loads(binary.body)
    assert_fits(f"{message.name}.data", data)
    assert data.keys() <= named(f"{message.name}.data")
    assert data == structured["data"]


@pytest.mark.parametrize("pii", PIIS)
@pytest.mark.parametrize(("form", "name"), OPERATIONS, ids=OPERATION_IDS)
def test_every_operation_of_an_old_form_is_as_the_document_says(form: OldForm, name: str, pii: Pii) -> None:
    cases = OF_MAGISTRALA if form is MAGISTRALA else OF_MAINFLUX
    payload = told_of_old(form, cases[name][0], pii)
    assert payload is not None
    assert_fits(f"{form.name}.{name}", payload)
    assert payload.keys() <= named(f"{form.name}.{name}")


def test_every_example_of_the_document_fits_its_schema() -> None:
    for name, message in components()["messages"].items():
        for example in message.get("examples", ()):
            assert_fits(message["payload"]["$ref"].rpartition("/")[2], example["payload"])
            if "headers" in example:
                assert_fits(f"{name.removesuffix('.binary')}.headers", example["headers"])
    for name, schema in components()["schemas"].items():
        for example in schema.get("examples", ()):
            assert_fits(name, example)


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_the_envelope_in_the_document_has_the_payload_where_it_is_written(form: OldForm) -> None:
    envelope = (PROTOS / form.name / "message.proto").read_text("utf-8")
    assert f"bytes payload = {form.payload_field};" in envelope
    assert components()["schemas"][f"{form.name}.envelope"]["schema"] == envelope


@cache
def language() -> dict[str, dict[str, Any]]:
    """What consumers may rely on: of each message the fields, their types, and which are always there."""
    schemas = components()["schemas"]
    released = {name: schemas[name] for name in ("attributes", "headers")}
    released |= {message.type: schemas[f"{message.name}.data"] for _, message in TOLD}
    for form in (MAGISTRALA, MAINFLUX):
        for operation in form.told():
            released[f"{form.name}.{operation.name}"] = schemas[f"{form.name}.{operation.name}"]
    return {name: _bare(schema) for name, schema in released.items()}


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    fields = {
        name: {key: value for key, value in field.items() if key != "description"}
        for name, field in schema["properties"].items()
    }
    return {"required": sorted(schema["required"]), "fields": fields}


def test_nothing_that_was_released_is_lost_or_has_another_type() -> None:
    now = language()
    if os.environ.get("USERSD_WRITE_GOLDEN") and not RELEASED.exists():
        RELEASED.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    released = json.loads(RELEASED.read_text("utf-8"))
    assert losses(released, now) == []
    assert losses(now, released) == [], (
        "a gain: delete tests/golden/published_language.json and run this once with USERSD_WRITE_GOLDEN=1"
    )


def losses(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What consumers of `before` would miss."""
    found = [f"{name} is gone" for name in before.keys() - now.keys()]
    for name in before.keys() & now.keys():
        then, today = before[name], now[name]
        found += [
            f"{name}: {field} may be missing" for field in set(then["required"]) - set(today["required"])
        ]
        for field, schema in then["fields"].items():
            if field not in today["fields"]:
                found.append(f"{name}: {field} is gone")
            elif not _still_fits(schema, today["fields"][field]):
                found.append(f"{name}: {field} has another type")
    return sorted(found)


def _still_fits(before: dict[str, Any], now: dict[str, Any]) -> bool:
    # A list of names may grow with the fields that can change.
    if before.get("type") == "array" and "enum" in before.get("items", {}):
        return set(before["items"]["enum"]) <= set(now.get("items", {}).get("enum", ()))
    return before == now


def test_a_loss_a_new_type_and_a_field_that_may_be_missing_are_noticed() -> None:
    before = {"a": {"required": ["x"], "fields": {"x": {"type": "string"}, "y": {"type": "string"}}}}
    now: dict[str, Any] = {"a": {"required": [], "fields": {"x": {"type": "integer"}, "z": {}}}}
    assert losses(before, now) == ["a: x has another type", "a: x may be missing", "a: y is gone"]
    assert losses(before, {}) == ["a is gone"]
    gained: dict[str, Any] = {
        "a": {"required": ["x", "z"], "fields": {**before["a"]["fields"], "z": {}}},  # type: ignore[dict-item]
        "b": {"required": [], "fields": {}},
    }
    assert losses(before, gained) == []
