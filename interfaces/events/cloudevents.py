"""The envelope of a public message, CloudEvents 1.0: as JSON around the data, or as headers beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from application.ports import Recorded

SOURCE = "/users"
STRUCTURED = "application/cloudevents+json"
DATA = "application/json"


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The envelope; the order of the fields is the order on the wire.

    `position` is text: a CloudEvents Integer has 32 bits, and the log may outgrow them.
    """

    specversion: str
    id: UUID
    source: str
    type: str
    subject: UUID
    time: datetime
    datacontenttype: str
    streamversion: int
    position: str
    correlationid: UUID
    commandid: UUID
    causationid: UUID | None = None
    traceparent: str = ""
    actorkind: str
    actorid: UUID | None = None
    data: dict[str, Any]


_encode = msgspec.json.Encoder().encode
_NOT_IN_A_HEADER = re.compile(r'[^!-~]|["%]')


def envelope(recorded: Recorded, told_as: str, data: dict[str, Any]) -> CloudEvent:
    """The event in its envelope, under a versioned type."""
    actor = recorded.actor
    return CloudEvent(
        specversion="1.0",
        id=recorded.event_id,
        source=SOURCE,
        type=told_as,
        subject=recorded.user_id,
        time=recorded.event.at,
        datacontenttype=DATA,
        streamversion=recorded.version,
        position=str(recorded.position),
        correlationid=recorded.correlation_id,
        commandid=recorded.command_id,
        causationid=recorded.causation_id,
        traceparent=recorded.traceparent,
        actorkind=actor.kind,
        actorid=actor.id,
        data=data,
    )


def structured(event: CloudEvent) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the structured mode: one JSON object."""
    return _encode(event), {"Content-Type": STRUCTURED}


def binary(event: CloudEvent) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the binary mode: the data alone, and each attribute as a header `ce-<name>`.

    A `Content-Type` is left out: with it a receiver would take the message for a structured one.
    """
    attributes: Mapping[str, Any] = msgspec.to_builtins(event)
    headers = {f"ce-{name}": header_value(str(value)) for name, value in attributes.items() if name != "data"}
    return _encode(event.data), headers


def header_value(text: str) -> str:
    """Text as a header may carry it: what is no printable ASCII, the space, `"` and `%` as %XX of its UTF-8
    (NATS protocol binding of CloudEvents, 3.1.3.2)."""
    return _NOT_IN_A_HEADER.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
