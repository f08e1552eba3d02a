"""What the event forms of both services before this one share: a row per operation, an envelope, values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from application.ports import Recorded
from domain.events import EVENTS, Erased, SecretChanged
from domain.user import User
from interfaces.events.telling import Pii, Telling

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH_DELIMITED = 2

_encode = msgspec.json.Encoder().encode


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """How one event was told: the operation's name, the fields that are always there, and those that are
    there only where they have a value."""

    name: str
    always: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


class Moment(msgspec.Struct, frozen=True):
    """An event, and the user as they were after it."""

    recorded: Recorded
    user: User


class OldForm(msgspec.Struct, frozen=True, kw_only=True):
    """One form: its operations by stored name, how each field's value is found, and where messages go.

    `resets` is told for a secret that was set by a link. `subject` is where an operation is published, and
    `subjects` is what takes in all of them. `personal` fields are told only where that is allowed.
    `payload_field` is the number of the envelope's field that holds the JSON.
    """

    name: str
    subjects: str
    subject: Callable[[Operation], str]
    operations: Mapping[str, Operation | None]
    resets: Operation
    values: Mapping[str, Callable[[Moment], Any]]
    personal: frozenset[str]
    payload_field: int
    has_request_id: bool = False

    def operation_of(self, recorded: Recorded) -> Operation | None:
        """How an event is told, or None where it is not: of a forgotten user only that they are gone."""
        event = recorded.event
        if recorded.forgotten and not isinstance(event, Erased):
            return None
        if isinstance(event, SecretChanged) and event.way == "reset":
            return self.resets
        return self.operations[event.stored_name]

    def untold(self) -> set[str]:
        """The stored names of the domain that have no row here."""
        return {event.stored_name for event in EVENTS} - self.operations.keys()

    def told(self) -> list[Operation]:
        """Every operation of this form, each once."""
        found = [operation for operation in (*self.operations.values(), self.resets) if operation]
        return list({operation.name: operation for operation in found}.values())

    def every_subject(self) -> list[str]:
        """All subjects that a message of this form may have."""
        return sorted({self.subject(operation) for operation in self.told()})

    def tell(
        self, recorded: Recorded, user: User | None, pii: Pii = "full", *, without: Set[str] = frozenset()
    ) -> Telling | None:
        """The message, ready for the bus, or None where the event is not told. `without`: fields left out."""
        operation = self.operation_of(recorded)
        if operation is None:
            return None
        moment = Moment(recorded, user or User(id=recorded.user_id))
        body = in_envelope(self.payload_field, _encode(self.payload(operation, moment, pii, without)))
        return Telling(message_id(recorded, self.name), self.subject(operation), body)

    def payload(
        self, operation: Operation, moment: Moment, pii: Pii, without: Set[str] = frozenset()
    ) -> dict[str, Any]:
        """The JSON object inside the envelope."""
        hidden = without | self.personal if pii == "none" else without
        payload: dict[str, Any] = {"operation": f"user.{operation.name}"}
        if self.has_request_id:
            # The caller chose it, so that it may say anything.
            payload["request_id"] = moment.recorded.request_id if pii == "full" else ""
        payload["occurred_at"] = nanoseconds(moment.recorded.event.at)
        for field in operation.always:
            if field not in hidden:
                payload[field] = self.values[field](moment)
        for field in operation.given:
            if field not in hidden and (value := self.values[field](moment)):
                payload[field] = value
        return payload


def message_id(recorded: Recorded, form: str) -> str:
    """Two forms share a stream, and the stream takes each message id once."""
    return f"{recorded.event_id}.{form}"


def nanoseconds(at: datetime) -> int:
    """Since the Unix epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def in_envelope(field: int, payload: bytes) -> bytes:
    """A message of Protocol Buffers with one field, of bytes: its tag, the length as a varint, the bytes."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
