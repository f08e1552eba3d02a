"""A consumer of the services before this one: it knows their subjects, their envelope and nothing of ours."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_STRING, _BYTES, _INT64 = 9, 12, 3

MAGISTRALA = {
    "channel": 1, "domain": 2, "subtopic": 3, "publisher": 4, "protocol": 5, "payload": 6, "created": 7,
}  # fmt: skip
MAINFLUX = {"channel": 1, "subtopic": 2, "publisher": 3, "protocol": 4, "payload": 5, "created": 6}


def _envelope(numbers: dict[str, int]) -> type[Message]:
    """The class of `messaging.Message` with the numbers of one dialect."""
    file = descriptor_pb2.FileDescriptorProto(name="message.proto", package="messaging", syntax="proto3")
    message = file.message_type.add(name="Message")
    for name, number in numbers.items():
        kind = _BYTES if name == "payload" else _INT64 if name == "created" else _STRING
        message.field.add(name=name, number=number, type=kind, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("messaging.Message"))


_ENVELOPES = {"magistrala": _envelope(MAGISTRALA), "mainflux": _envelope(MAINFLUX)}


def decode(dialect: str, body: bytes) -> dict[str, Any]:
    """The JSON in the envelope; nothing else may be set there."""
    envelope = _ENVELOPES[dialect].FromString(body)
    assert [field.name for field, _ in envelope.ListFields()] == ["payload"]
    payload: dict[str, Any] = json.loads(envelope.payload)  # type: ignore[attr-defined]
    # What the journal asks of every event.
    assert payload["operation"].startswith("user.")
    assert isinstance(payload["occurred_at"], int)
    assert payload["occurred_at"] > 0
    return payload
