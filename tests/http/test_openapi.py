"""The OpenAPI document is well-formed, whole, true, and the committed one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from interfaces.http.openapi.examples import USER_ID
from tests.http import served_document
from tests.http.answers import accepted, routes_of
from tests.http.conftest import Cast
from tests.http.served_document import PAGES, UNDOCUMENTED, operations, tells_of

COPY = Path(__file__).parents[2] / "docs" / "openapi.json"

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return served_document.made()


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def test_the_committed_copy_is_the_one_the_routes_make(spec: dict[str, Any]) -> None:
    assert json.loads(COPY.read_text("utf-8")) == spec, (
        "The HTTP interface has changed. Look at what the change means to callers, then write the copy "
        "anew: python -m interfaces.http > docs/openapi.json"
    )


async def test_the_service_serves_the_same_document(cast: Cast, spec: dict[str, Any]) -> None:
    assert accepted(await cast.client.http.get("/openapi.json")) == spec


def test_the_document_has_what_openapi_3_1_demands(spec: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d", spec["openapi"])
    assert set(spec) <= {"openapi", "info", "servers", "tags", "paths", "components", "security"}
    assert all(isinstance(spec["info"][key], str) and spec["info"][key] for key in ("title", "version"))
    tags = {tag["name"] for tag in spec["tags"]}
    seen: set[str] = set()
    for method, path, operation in operations(spec):
        where = f"{method} {path}"
        assert path.startswith("/"), where
        assert method in METHODS, where
        assert operation["operationId"] not in seen, where
        seen.add(operation["operationId"])
        assert operation["summary"], where
        assert set(operation["tags"]) <= tags, where
        assert operation["responses"], where
        for status, answer in operation["responses"].items():
            assert re.fullmatch(r"[2-5]\d\d", status), where
            assert answer["description"], where
            for header in answer.get("headers", {}).values():
                assert header["description"], where
                assert header["schema"], where
            for media_type, content in answer.get("content", {}).items():
                assert re.fullmatch(r"application/[a-z+-]+|text/plain; version=[0-9.]+", media_type), where
                assert content["schema"], where
        for requirement in operation["security"]:
            assert set(requirement) <= set(spec["components"]["securitySchemes"]), where


def test_every_parameter_is_declared_once_and_every_part_of_a_path_is_one(spec: dict[str, Any]) -> None:
    for method, path, operation in operations(spec):
        parameters = operation["parameters"]
        keys = [(parameter["in"], parameter["name"]) for parameter in parameters]
        assert len(keys) == len(set(keys)), (method, path)
        in_path = {name for place, name in keys if place == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), (method, path)
        for parameter in parameters:
            assert parameter["schema"], (method, path)
            assert parameter["in"] in {"path", "query", "header"}
            assert parameter["required"] is (parameter["in"] == "path")


def test_every_reference_leads_somewhere_and_every_schema_is_used(spec: dict[str, Any]) -> None:
    references = {node["$ref"] for node in nodes(spec) if isinstance(node, dict) and "$ref" in node}
    for reference in references:
        target: Any = spec
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert isinstance(target, dict)
    names = {reference.rpartition("/")[2] for reference in references}
    assert names == set(spec["components"]["schemas"])


def test_every_schema_is_one_in_the_words_of_json_schema(spec: dict[str, Any]) -> None:
    words = {
        "$ref", "additionalProperties", "anyOf", "const", "contentMediaType", "contentSchema",
        "default", "description", "enum", "examples",
        "format", "items", "maximum", "maxItems", "maxLength", "minimum", "minLength", "pattern",
        "properties", "required", "title", "type",
    }  # fmt: skip
    for schema in _schemas(spec):
        assert set(schema) <= words, schema
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema)


def test_every_text_list_and_number_of_a_request_has_its_limit(spec: dict[str, Any]) -> None:
    bounded_elsewhere = {"enum", "const", "anyOf", "$ref", "pattern", "format"}
    bodies = {node["schema"]["$ref"].rpartition("/")[2] for node in nodes(spec["paths"])
              if isinstance(node, dict) and "schema" in node and "$ref" in node["schema"]}  # fmt: skip
    names = {name for name in bodies if name.endswith("Body")} | {"RegisterCredentials"}
    for name in names:
        schema = spec["components"]["schemas"][name]
        ways = schema.get("anyOf", ())
        for field, words in schema["properties"].items():
            told = [words, *(found for way in ways for found in _fields(way, field))]
            kinds = {kind for word in told for kind in ([word["type"]] if isinstance(word.get("type"), str)
                     else word.get("type", ()))}  # fmt: skip
            if "string" in kinds and name != "RegisterCredentials":
                assert any("maxLength" in word or "enum" in word for word in told), (name, field)
            if "array" in kinds:
                assert words["maxItems"], (name, field)
                assert words["items"]["maxLength"], (name, field)
    for _, _, operation in operations(spec):
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            if parameter["in"] == "query" and schema.get("type") == "integer":
                assert "minimum" in schema, parameter["name"]
                # What is beyond the most that a search shows is no fault there.
                assert "maximum" in schema or "counts as that" in schema["description"], parameter["name"]
            elif parameter["in"] == "query" and not bounded_elsewhere & set(schema):
                assert "maxLength" in schema or schema["type"] == "boolean", parameter["name"]


def _fields(schema: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    for field, words in schema.get("properties", {}).items():
        if field == name:
            yield words
        yield from _fields(words, name)


def _schemas(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = list(spec["components"]["schemas"].values())
    found += [node["schema"] for node in nodes(spec["paths"]) if isinstance(node, dict) and "schema" in node]
    while found:
        schema = found.pop()
        yield schema
        found += [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
        found += [schema["items"]] if "items" in schema else []


async def test_every_route_and_method_is_documented_and_nothing_else(
    cast: Cast, spec: dict[str, Any]
) -> None:
    documented = {(method.upper(), path) for method, path, _ in operations(spec)}
    there = {(method, path) for method, path in routes_of(cast.client) if path not in UNDOCUMENTED}
    assert documented == there - PAGES


def test_a_body_is_documented_with_400_408_413_and_415_and_a_token_with_401(spec: dict[str, Any]) -> None:
    for method, path, operation in operations(spec):
        codes = set(operation["responses"])
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= codes, (method, path)
        if {"bearer": []} in operation["security"]:
            assert "401" in codes, (method, path)


def test_refusals_are_documented_with_the_body_they_have(spec: dict[str, Any]) -> None:
    problem = spec["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == set(problem["properties"])
    for _, path, operation in operations(spec):
        for status, answer in operation["responses"].items():
            if status >= "400" and path.startswith("/oauth/"):
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/OAuthError"}
            elif status >= "400" and path != "/readyz":
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


def test_every_link_leads_to_an_operation_and_names_its_parameters(spec: dict[str, Any]) -> None:
    parameters = {
        operation["operationId"]: {parameter["name"] for parameter in operation["parameters"]}
        for _, _, operation in operations(spec)
    }
    links = [
        link
        for _, _, operation in operations(spec)
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 10
    for link in links:
        assert set(link.get("parameters", ())) <= parameters[link["operationId"]]


def test_every_status_that_any_test_sees_is_documented() -> None:
    """Each answer in this folder is held against this as it comes; here is shown that it can fail."""
    assert tells_of("GET", "/users", 403)
    assert tells_of("GET", f"/users/{USER_ID}/history", 404)
    assert tells_of("GET", "/docs/docs.js", 200)
    assert not tells_of("GET", "/users", 418)
    assert not tells_of("POST", "/users/nobody/promote", 200)
