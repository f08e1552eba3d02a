"""The AsyncAPI 3.0 document of what is published, made from the table of messages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interfaces.events import schemas
from interfaces.events.cloudevents import DATA, STRUCTURED
from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.mainflux import MAINFLUX, SUBJECT
from interfaces.events.old_forms import OldForm, Operation
from interfaces.events.published import Message
from interfaces.events.vocabulary import USER

VERSION = "1"
PROTOS = Path(__file__).with_name("protos")
PROTOBUF = "application/vnd.google.protobuf;version=3"

_INFO = """Every change to a user, told on NATS JetStream: at least once, and in order within a stream. \
The stream USERS belongs to this service; the channels `magistrala` and `mainflux` exist where \
`MG_USERS_EVENTS_FORMAT` names them. docs/EVENTS.md says how to consume."""


def document() -> dict[str, Any]:
    """The whole document; the same at every call."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "usersd events",
            "version": VERSION,
            "description": _INFO,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": STRUCTURED,
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "The NATS servers of `MG_USERS_ES_URL`, with JetStream.",
                "variables": {"host": {"default": "localhost:4222", "description": "Host and port."}},
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channels() -> dict[str, Any]:
    return {
        "users": _own_channel("What happened to users", "Stream USERS. CloudEvents in structured mode.", ""),
        "usersBinary": _own_channel(
            "What happened to users, with headers",
            "Stream USERS with `MG_USERS_EVENTS_MODE=binary`. CloudEvents in binary mode.",
            ".binary",
        ),
        "magistrala": _old_channel(MAGISTRALA, "events.magistrala.user.{operation}")
        | {
            "parameters": {
                "operation": {
                    "description": "What happened.",
                    "enum": [operation.name for operation in MAGISTRALA.told()],
                }
            }
        },
        "mainflux": _old_channel(MAINFLUX, SUBJECT),
    }


def _own_channel(title: str, description: str, mode: str) -> dict[str, Any]:
    return {
        "address": "users.{place}.{event}",
        "title": title,
        "description": description,
        "messages": _references(f"{told.name}{mode}" for told in schemas.TOLD),
        "parameters": {
            "place": {
                "description": "The user's id, or the user's shard where `MG_USERS_STREAM_SHARDS` is set.",
                "examples": [USER, "17"],
            },
            "event": {"description": "What happened.", "enum": [told.name for told in schemas.TOLD]},
        },
        "x-stream": "USERS",
    }


def _old_channel(form: OldForm, address: str) -> dict[str, Any]:
    return {
        "address": address,
        "title": f"{form.name.capitalize()}'s form",
        "description": "Stream `events`, which belongs to the platform.",
        "messages": _references(f"{form.name}.{operation.name}" for operation in form.told()),
        "x-stream": "events",
    }


def _operations() -> dict[str, Any]:
    return {
        name: {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "bindings": {"nats": {"bindingVersion": "0.1.0"}},
        }
        for name, channel, summary in (
            ("tell", "users", "usersd tells what happened."),
            ("tellBinary", "usersBinary", "usersd tells what happened, with headers."),
            ("tellMagistrala", "magistrala", "usersd tells it as Magistrala Users did."),
            ("tellMainflux", "mainflux", "usersd tells it as Mainflux Users did."),
        )
    }


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for told in schemas.TOLD:
        found |= _own(told)
    for form in (MAGISTRALA, MAINFLUX):
        for operation in form.told():
            found[f"{form.name}.{operation.name}"] = _old(form, operation)
    return found


def _own(told: Message) -> dict[str, Any]:
    example = schemas.data_example(told)
    return {
        told.name: {
            "name": told.type,
            "title": told.name,
            "contentType": STRUCTURED,
            "payload": _reference(told.name),
            "examples": [{"payload": schemas.attributes_example(told) | {"data": example}}],
        },
        f"{told.name}.binary": {
            "name": told.type,
            "title": f"{told.name}, in binary mode",
            "contentType": DATA,
            "headers": _reference(f"{told.name}.headers"),
            "payload": _reference(f"{told.name}.data"),
            "examples": [{"headers": schemas.headers_example(told), "payload": example}],
        },
    }


def _old(form: OldForm, operation: Operation) -> dict[str, Any]:
    return {
        "name": f"user.{operation.name}",
        "title": f"user.{operation.name}, in {form.name.capitalize()}'s form",
        "contentType": "application/x-protobuf",
        "description": f"The field `payload` of the envelope, number {form.payload_field}, holds JSON.",
        "payload": _reference(f"{form.name}.envelope"),
        "x-json": _reference(f"{form.name}.{operation.name}"),
    }


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {"attributes": schemas.attributes(), "headers": schemas.headers()}
    for told in schemas.TOLD:
        inside = {"type": {"const": told.type}, "data": _reference(f"{told.name}.data")}
        found[told.name] = {
            "allOf": [_reference("attributes"), {"required": ["data"], "properties": inside}],
        }
        found[f"{told.name}.data"] = schemas.data(told)
        found[f"{told.name}.headers"] = {
            "allOf": [_reference("headers"), {"properties": {"ce-type": {"const": told.type}}}],
        }
    for form in (MAGISTRALA, MAINFLUX):
        envelope = (PROTOS / form.name / "message.proto").read_text("utf-8")
        found[f"{form.name}.envelope"] = {"schemaFormat": PROTOBUF, "schema": envelope}
        for operation in form.told():
            found[f"{form.name}.{operation.name}"] = schemas.payload(form, operation) | {
                "examples": [schemas.payload_example(form, operation)]
            }
    return found


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _references(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}
