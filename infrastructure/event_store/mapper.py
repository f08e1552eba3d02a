"""Events to rows and back: an explicit registry, sealing, and upcasters for names of older versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import Mapper, StoredEvent

from application.ports import Recorded
from domain.access import Actor
from domain.errors import NotFound, UnknownEvent
from domain.events import EVENTS, Event, personal_fields
from infrastructure.event_store.keyring import UserKey, seal, unseal

_KEY_NUMBER = 1
_ENVELOPE_FIELDS = frozenset({"by", "at"})


class Forgotten:
    """Stands where a user's key was: it was destroyed on purpose."""


FORGOTTEN = Forgotten()
Key = UserKey | Forgotten


class SealBroken(Exception):
    """The sealed bytes of an event were changed, moved, or sealed with another key."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a row's `state` holds, as JSON. `sealed` is nonce, ciphertext and tag, in base64."""

    id: UUID
    at: datetime
    actor: Actor
    command: UUID
    correlation: UUID
    causation: UUID | None = None
    request: str = ""
    trace: str = ""
    data: dict[str, Any] = {}
    key: int = 0
    sealed: bytes = b""


class _Kind(msgspec.Struct, frozen=True):
    event: type[Event]
    personal: frozenset[str]
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class EventMapper(Mapper[UUID]):
    """Translates between recorded events and stored ones.

    The registry is explicit: a stored name never makes the service import anything. A name that is not
    in it raises UnknownEvent, because it was written by a newer version and must not be skipped.
    """

    def __init__(self, key_of: Callable[[UUID], Key] | None = None) -> None:
        self._key_of = key_of
        self._kinds = {event.stored_name: _Kind(event, personal_fields(event)) for event in EVENTS}
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Envelope).decode
        self._encode_data = msgspec.json.Encoder().encode
        self._decode_data = msgspec.json.Decoder(dict[str, Any]).decode

    def upcast(
        self, old_name: str, event: type[Event], change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Read `old_name` as `event` after `change` has brought its fields, unsealed, to the new shape."""
        self._kinds[old_name] = _Kind(event, personal_fields(event), change)

    def seal(self, recorded: Recorded, key: UserKey | None) -> StoredEvent:
        """A recorded event as a row; its position is not part of it.

        Raises NotFound where something personal is to be sealed and the user's key is gone.
        """
        event = recorded.event
        personal_names = self._kinds[event.stored_name].personal
        fields = msgspec.structs.asdict(event)
        defaults = _defaults(type(event))
        data: dict[str, Any] = {}
        personal: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _ENVELOPE_FIELDS or value == defaults.get(name, msgspec.NODEFAULT):
                continue
            (personal if name in personal_names else data)[name] = value
        sealed = b""
        if personal:
            if key is None:
                raise NotFound
            place = _place(recorded.user_id, recorded.version, event.stored_name)
            sealed = seal(key.cipher, self._encode_data(personal), place)
        envelope = Envelope(
            id=recorded.event_id,
            at=event.at,
            actor=recorded.actor,
            command=recorded.command_id,
            correlation=recorded.correlation_id,
            causation=recorded.causation_id,
            request=recorded.request_id,
            trace=recorded.traceparent,
            data=data,
            key=_KEY_NUMBER if sealed else 0,
            sealed=sealed,
        )
        return StoredEvent(
            originator_id=recorded.user_id,
            originator_version=recorded.version,
            topic=event.stored_name,
            state=self._encode(envelope),
        )

    def open(
        self, user_id: UUID, version: int, name: str, state: bytes, key: Key, position: int = 0
    ) -> Recorded:
        """A row as a recorded event.

        Raises UnknownEvent for a name of a newer version, SealBroken where the seal does not hold, and
        msgspec.ValidationError where the fields are not those of the event.
        """
        kind = self._kinds.get(name)
        if kind is None:
            raise UnknownEvent
        envelope = self._decode(state)
        fields = envelope.data
        forgotten = isinstance(key, Forgotten)
        if envelope.sealed and isinstance(key, UserKey):
            try:
                plain = unseal(key.cipher, envelope.sealed, _place(user_id, version, name))
            except InvalidTag:
                raise SealBroken(f"the seal of version {version} does not hold") from None
            fields = fields | self._decode_data(plain)
        if kind.upcast is not None:
            fields = kind.upcast(fields)
        fields["at"] = envelope.at
        fields["by"] = envelope.actor.id
        return Recorded(
            position=position,
            user_id=user_id,
            version=version,
            name=name,
            event=msgspec.convert(fields, kind.event),
            event_id=envelope.id,
            actor=envelope.actor,
            command_id=envelope.command,
            correlation_id=envelope.correlation,
            causation_id=envelope.causation,
            request_id=envelope.request,
            traceparent=envelope.trace,
            forgotten=forgotten,
        )

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The eventsourcing library's own seam; looks the key up by user."""
        recorded = cast(Recorded, domain_event)
        key = self._required_key_of(recorded.user_id)
        assert isinstance(key, UserKey), "nothing is appended for a user whose key is gone"
        return self.seal(recorded, key)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The eventsourcing library's own seam; looks the key up by user."""
        user_id = cast(UUID, stored_event.originator_id)
        key = self._required_key_of(user_id)
        return self.open(
            user_id, stored_event.originator_version, stored_event.topic, stored_event.state, key
        )

    def _required_key_of(self, user_id: UUID) -> Key:
        assert self._key_of is not None, "this mapper was made without a way to look keys up"
        return self._key_of(user_id)


def _place(user_id: UUID, version: int, name: str) -> bytes:
    """What a seal is bound to: stream, version, name and key number."""
    return user_id.bytes + version.to_bytes(8) + _KEY_NUMBER.to_bytes(4) + name.encode()


_DEFAULTS: dict[type[Event], dict[str, Any]] = {}


def _defaults(event: type[Event]) -> dict[str, Any]:
    if (known := _DEFAULTS.get(event)) is None:
        known = {}
        for field in msgspec.structs.fields(event):
            if field.default is not msgspec.NODEFAULT:
                known[field.name] = field.default
            elif field.default_factory is not msgspec.NODEFAULT:
                known[field.name] = field.default_factory()
        _DEFAULTS[event] = known
    return known
