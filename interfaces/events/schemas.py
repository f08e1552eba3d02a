"""JSON schemas and examples of every message, made from the table and the vocabulary."""

from __future__ import annotations

from typing import Any

from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.old_forms import OldForm, Operation
from interfaces.events.published import MESSAGES, Message
from interfaces.events.vocabulary import (
    ATTRIBUTES,
    FIELDS,
    MAINFLUX_FIELDS,
    OLD_FIELDS,
    Field,
    Schema,
)

TOLD: tuple[Message, ...] = tuple(message for message in MESSAGES.values() if message is not None)
"""Every message of our own language, in the order of the table."""

_COUNT: Schema = {"type": "string", "pattern": "^[1-9][0-9]*$"}
WITHOUT_PERSONAL = "Left out with `MG_USERS_EVENTS_PII=none`."


def attributes() -> Schema:
    """The attributes that stand around the data of every message, in structured mode."""
    properties = {name: _property(field) for name, field in ATTRIBUTES.items()}
    required = [name for name, field in ATTRIBUTES.items() if not field.optional]
    return {"type": "object", "required": required, "properties": properties}


def data(message: Message) -> Schema:
    """The data of a message. More fields may come; what is here stays."""
    properties: dict[str, Schema] = {"user_id": _property(FIELDS["user_id"])}
    for name, value in message.constant.items():
        properties[name] = {"const": value, "description": FIELDS[name].meaning}
    for name in message.plain:
        properties[name] = _property(FIELDS[name])
    for name in message.personal:
        field = _property(FIELDS[name])
        properties[name] = field | {"description": f"{field['description']} {WITHOUT_PERSONAL}"}
    if message.named:
        changed = _property(FIELDS["changed"])
        properties["changed"] = changed | {"items": {"enum": list(message.named)}}
    required = ["user_id", *message.constant]
    required += [name for name in message.plain if not FIELDS[name].optional]
    required += ["changed"] if message.named else []
    return {"type": "object", "required": required, "properties": properties}


def headers() -> Schema:
    """The headers of every message in binary mode: the attributes, as text."""
    found = attributes()
    properties: dict[str, Schema] = {f"ce-{name}": schema for name, schema in found["properties"].items()}
    version = properties["ce-streamversion"]
    properties["ce-streamversion"] = _COUNT | {"description": version["description"]}
    return {
        "type": "object",
        "required": [f"ce-{name}" for name in found["required"]],
        "properties": properties,
    }


def data_example(message: Message) -> dict[str, Any]:
    example: dict[str, Any] = {"user_id": FIELDS["user_id"].example, **message.constant}
    given = {name: FIELDS[name].example for name in message.plain + message.personal}
    # Later on, what is not there has not changed.
    example |= {name: value for name, value in given.items() if value or message.begins}
    if message.named:
        example["changed"] = [name for name in message.named if example.get(name)]
    return example


def attributes_example(message: Message) -> dict[str, Any]:
    version = 1 if message.begins else ATTRIBUTES["streamversion"].example
    example = {name: field.example for name, field in ATTRIBUTES.items()}
    return example | {"type": message.type, "streamversion": version}


def headers_example(message: Message) -> dict[str, str]:
    return {f"ce-{name}": str(value) for name, value in attributes_example(message).items()}


def words_of(form: OldForm) -> dict[str, Field]:
    """The vocabulary of an old form."""
    return OLD_FIELDS if form is MAGISTRALA else MAINFLUX_FIELDS


def always(form: OldForm, operation: Operation) -> tuple[str, ...]:
    """Every field that an operation has whatever happens."""
    common = (
        ("operation", "request_id", "occurred_at") if form.has_request_id else ("operation", "occurred_at")
    )
    return common + operation.always


def payload(form: OldForm, operation: Operation) -> Schema:
    """The JSON in the envelope of an old form."""
    words = words_of(form)
    properties = {name: _property(words[name]) for name in always(form, operation) + operation.given}
    properties["operation"] |= {"const": f"user.{operation.name}"}
    required = [name for name in always(form, operation) if name not in form.personal]
    return {"type": "object", "required": required, "properties": properties}


def payload_example(form: OldForm, operation: Operation) -> dict[str, Any]:
    words = words_of(form)
    example = {name: words[name].example for name in always(form, operation) + operation.given}
    return example | {"operation": f"user.{operation.name}"}


def _property(field: Field) -> Schema:
    return field.schema | {"description": field.meaning}
