"""Applies one page of the log to a read model: folds per user, parks what cannot be applied."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from projections.readmodel import Discarded, ReadModel

_PARK = """
INSERT INTO parked_streams (projection, version, generation, user_id, position, event_name, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (projection, version, generation, user_id) DO UPDATE
SET attempts = parked_streams.attempts + 1, position = excluded.position, event_name = excluded.event_name,
    reason = excluded.reason"""

_PARKED = """
SELECT user_id, position FROM parked_streams WHERE projection = %s AND version = %s AND generation = %s"""

_DISCARDED = """
SELECT position, user_id, event_version, event_name, at FROM discarded_events
WHERE projection = %s AND version = %s"""

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.errors.ProgramLimitExceeded,
    ValueError,
)
"""How a row is refused for what it holds: wrong at any time, so that a second try is in vain."""

Events = Mapping[UUID, Sequence[Recorded | Discarded]]
Write = Callable[[psycopg.AsyncConnection, str, Sequence[Any]], Awaitable[None]]

log = logging.getLogger("usersd.projections")


class Poison(msgspec.Struct, frozen=True):
    """The first event of a stream that a projection cannot apply, and the kind of fault."""

    user_id: UUID
    position: int
    event_name: str
    reason: str


class Aside(msgspec.Struct):
    """What a generation does not take in.

    `waiting` are the users whose streams are parked, each with the position of the event that stopped it;
    `discarded` are the events, by position, that operators have decided it goes on without.
    """

    waiting: dict[UUID, int] = msgspec.field(default_factory=dict)
    discarded: dict[int, Discarded] = msgspec.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.waiting)

    def park(self, poison: Sequence[Poison]) -> None:
        self.waiting.update((found.user_id, found.position) for found in poison)

    @property
    def left_out(self) -> set[UUID]:
        """The users of whom nothing is taken in: all their events build on one that was discarded."""
        return {event.user_id for event in self.discarded.values() if event.version == 1}


async def parked(connection: psycopg.AsyncConnection, model: ReadModel, generation: int) -> Aside:
    """The users whose streams wait, and the events that are gone on without."""
    cursor = await connection.execute(_PARKED, (model.name, model.version, generation))
    waiting: dict[UUID, int] = dict(await cursor.fetchall())
    cursor = await connection.execute(_DISCARDED, (model.name, model.version))
    discarded = {
        position: Discarded(position=position, user_id=user_id, version=version, name=name, at=at)
        for position, user_id, version, name, at in await cursor.fetchall()
    }
    return Aside(waiting, discarded)


class Folded(msgspec.Struct):
    """What a page means: the rows of users that are certain to be new, other rows, and poison.

    `events` and `state` are what each user's row was folded from.
    """

    model: ReadModel
    new: dict[UUID, Any]
    changed: dict[UUID, Any]
    poison: dict[UUID, Poison]
    events: Events
    state: Mapping[UUID, Any]


async def fold_page(
    connection: psycopg.AsyncConnection,
    model: ReadModel,
    table: str,
    page: Sequence[Recorded | Unreadable],
    aside: Aside,
    *,
    from_empty: bool = False,
) -> Folded:
    """Fold a page per user.

    The events of users that were parked before stay in the log until the stream is retried.
    `from_empty` says that the table holds nothing but what earlier pages of the same log have put there,
    so that users whose first event is in this page are certain to be new.
    """
    events, poison = _by_user(page, aside)
    state = await model.load(connection, table, events)
    folded = Folded(model, {}, {}, poison, events, state)
    for user_id, of_user in events.items():
        change, found = _folded(model, user_id, state.get(user_id), of_user)
        if change is not None:
            is_new = from_empty and of_user[0].version == 1
            (folded.new if is_new else folded.changed)[user_id] = change
        if found is not None:
            poison[user_id] = found
    return folded


async def write_page(
    connection: psycopg.AsyncConnection, model: ReadModel, table: str, folded: Folded
) -> list[Poison]:
    """Write a folded page within the caller's transaction; answers with the streams that must be parked."""
    refused = await _write(connection, model.copy, table, folded.new, folded)
    refused += await _write(connection, model.write, table, folded.changed, folded)
    return list((folded.poison | {found.user_id: found for found in refused}).values())


async def park(
    connection: psycopg.AsyncConnection, model: ReadModel, generation: int, poison: Sequence[Poison]
) -> None:
    """Remember parked streams, in the transaction that moves the position past them, and tell of them."""
    for found in poison:
        log.error(
            "%s: parked the stream of user %s at position %d (%s: %s)",
            model.name, found.user_id, found.position, found.event_name, found.reason,
        )  # fmt: skip
    await remember(connection, model, generation, poison)


async def remember(
    connection: psycopg.AsyncConnection, model: ReadModel, generation: int, poison: Sequence[Poison]
) -> None:
    """Write down where streams are parked; one that was parked before has had another attempt."""
    for found in poison:
        await connection.execute(
            _PARK,
            (
                model.name,
                model.version,
                generation,
                found.user_id,
                found.position,
                found.event_name,
                found.reason,
            ),
        )


def _by_user(
    page: Sequence[Recorded | Unreadable], aside: Aside
) -> tuple[dict[UUID, list[Recorded | Discarded]], dict[UUID, Poison]]:
    events: dict[UUID, list[Recorded | Discarded]] = {}
    poison: dict[UUID, Poison] = {}
    waiting = aside.waiting
    discarded, left_out = aside.discarded, aside.left_out
    for read in page:
        event: Recorded | Unreadable | Discarded = read
        if event.user_id in waiting or event.user_id in poison or event.user_id in left_out:
            continue
        if discarded and not event.forgotten:
            event = discarded.get(event.position, event)
        if not isinstance(event, Unreadable):
            events.setdefault(event.user_id, []).append(event)
        elif not event.forgotten:
            poison[event.user_id] = _poison(event, event.reason)
    return events, poison


def _folded(
    model: ReadModel, user_id: UUID, state: Any, events: Sequence[Recorded | Discarded]
) -> tuple[Any, Poison | None]:
    """What a page means for one user, as far as it can be folded, and the event that it stops at."""
    change, reason, good, bad = None, "", 0, len(events) + 1
    # With so many events it goes well, with so many it does not: the first try is with all.
    tried = len(events)
    while bad - good > 1:
        try:
            change, good = model.fold(user_id, state, events[:tried]), tried
        except Exception as error:
            reason, bad = type(error).__name__, tried
        tried = (good + bad) // 2
    return change, _poison(events[good], reason) if good < len(events) else None


async def _write(
    connection: psycopg.AsyncConnection,
    write: Write,
    table: str,
    changes: Mapping[UUID, Any],
    folded: Folded,
) -> list[Poison]:
    """Write all changes, or find by halving the users whose rows the database refuses."""
    if not changes:
        return []
    try:
        async with connection.transaction():
            await write(connection, table, list(changes.values()))
        return []
    except REFUSED:
        if len(changes) == 1:
            (user_id,) = changes
            return await _stopped(connection, table, folded, user_id)
    users = list(changes)
    poison: list[Poison] = []
    for half in (users[: len(users) // 2], users[len(users) // 2 :]):
        poison += await _write(connection, write, table, {user: changes[user] for user in half}, folded)
    return poison


async def _stopped(
    connection: psycopg.AsyncConnection, table: str, folded: Folded, user_id: UUID
) -> list[Poison]:
    """Write one user's row as it was before the event that makes the database refuse it; name that event."""
    model, state, events = folded.model, folded.state.get(user_id), folded.events[user_id]
    if user_id in folded.poison:
        events = [event for event in events if event.position < folded.poison[user_id].position]
    change, reason, good, bad = None, "", 0, len(events) + 1
    tried = len(events)
    while bad - good > 1:
        coming = model.fold(user_id, state, events[:tried])
        try:
            # A trial: rows are written once, so that whatever counts them counts them once.
            async with connection.transaction(force_rollback=True):
                await model.write(connection, table, [coming])
            change, good = coming, tried
        except REFUSED as error:
            reason, bad = type(error).__name__, tried
        tried = (good + bad) // 2
    if change is not None:
        await model.write(connection, table, [change])
    return [_poison(events[good], reason)] if good < len(events) else []


def _poison(event: Recorded | Unreadable | Discarded, reason: str) -> Poison:
    return Poison(event.user_id, event.position, event.name, reason)
