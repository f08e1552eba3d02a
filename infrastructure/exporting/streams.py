"""Holds the streams of users against their chains and seals, and tells which names they come to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.exporting import ExportRefused
from application.ports import Recorded
from domain.errors import UnknownEvent
from domain.user import User, evolve
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.log import EventReader

_STREAMS = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at,
       e.prev_hash, e.hash
FROM events e LEFT JOIN user_keys k ON k.user_id = e.stream_id
WHERE e.stream_id = ANY(%b) ORDER BY e.stream_id, e.version"""

Name = tuple[str, bytes]
"""Kind and keyed digest of a name that a user holds."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one user's stream comes to: the names that it says are theirs, and how many events are newer
    than this version knows; those are skipped."""

    names: frozenset[Name]
    newer: int


def hold(
    connection: psycopg.Connection, reader: EventReader, keyring: Keyring, users: Sequence[UUID]
) -> dict[UUID, Held]:
    """Look at the streams of some users. Raises ExportRefused where one does not hold."""
    rows: list[Any] = connection.execute(_STREAMS, (list(users),), binary=True).fetchall()
    streams: dict[UUID, list[Any]] = {}
    for row in rows:
        streams.setdefault(row[1], []).append(row)
    return {user: _held(user, streams.get(user, []), reader, keyring) for user in users}


def _held(user_id: UUID, rows: Sequence[Any], reader: EventReader, keyring: Keyring) -> Held:
    if not rows:
        raise _unsound(user_id, "has a key or credentials and no events")
    _chained(user_id, rows)
    user, newer = User(id=user_id), 0
    for event in reader.open_page([row[:8] for row in rows]):
        if isinstance(event, Recorded):
            user = evolve(user, event.event)
        elif event.reason == UnknownEvent.code:
            newer += 1
        else:
            raise _unsound(user_id, f"has an event at position {event.position} that cannot be opened")
    return Held(names=_names(user, keyring) if user.exists else frozenset(), newer=newer)


def _chained(user_id: UUID, rows: Sequence[Any]) -> None:
    link: bytes | None = None
    for number, row in enumerate(rows, start=1):
        version, name, state, previous, found = row[2], row[3], row[4], row[8], row[9]
        text = (link or b"") + user_id.bytes + number.to_bytes(8) + name.encode() + b"\0" + state
        if (version, previous, found) != (number, link, hashlib.sha256(text).digest()):
            raise _unsound(user_id, f"has a history whose chain does not hold at version {number}")
        link = found


def _names(user: User, keyring: Keyring) -> frozenset[Name]:
    entered = {"email": user.email, "username": user.username}
    return frozenset((kind, keyring.digest(kind, value)) for kind, value in entered.items() if value)


def _unsound(user_id: UUID, what: str) -> ExportRefused:
    return ExportRefused(
        f"User {user_id} {what}: this log is not what was written. `usersd events verify` tells more."
    )
