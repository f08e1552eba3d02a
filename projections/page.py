"""Applies one page of the log to a read model: folds per user, parks what cannot be applied."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from projections.readmodel import ReadModel

_PARK = """
INSERT INTO parked_streams (projection, version, generation, user_id, position, event_name, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (projection, version, generation, user_id) DO UPDATE SET attempts = parked_streams.attempts + 1"""

_PARKED = "SELECT user_id FROM parked_streams WHERE projection = %s AND version = %s AND generation = %s"

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.errors.ProgramLimitExceeded,
    ValueError,
)
"""How a row is refused for what it holds: wrong at any time, so that a second try is in vain."""

Write = Callable[[psycopg.AsyncConnection, str, Sequence[Any]], Awaitable[None]]

log = logging.getLogger("usersd.projections")


class Poison(msgspec.Struct, frozen=True):
    """The first event of a stream that a projection cannot apply, and the kind of fault."""

    user_id: UUID
    position: int
    event_name: str
    reason: str


async def parked(connection: psycopg.AsyncConnection, model: ReadModel, generation: int) -> set[UUID]:
    """The users whose streams wait."""
    cursor = await connection.execute(_PARKED, (model.name, model.version, generation))
    return {row[0] for row in await cursor.fetchall()}


class Folded(msgspec.Struct):
    """What a page means: the rows of users that are certain to be new, other rows, and poison."""

    new: dict[UUID, Any]
    changed: dict[UUID, Any]
    poison: dict[UUID, Poison]
    events: Mapping[UUID, Sequence[Recorded]]


async def fold_page(
    connection: psycopg.AsyncConnection,
    model: ReadModel,
    table: str,
    page: Sequence[Recorded | Unreadable],
    waiting: set[UUID],
    *,
    from_empty: bool = False,
) -> Folded:
    """Fold a page per user.

    `waiting` are the users parked before: their events stay in the log until the stream is retried.
    `from_empty` says that the table holds nothing but what earlier pages of the same log have put there,
    so that users whose first event is in this page are certain to be new.
    """
    events, poison = _by_user(page, waiting)
    state = await model.load(connection, table, events)
    folded = Folded({}, {}, poison, events)
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
    refused = await _write(connection, model.copy, table, folded.new, folded.events)
    refused += await _write(connection, model.write, table, folded.changed, folded.events)
    return list((folded.poison | {found.user_id: found for found in refused}).values())


async def park(
    connection: psycopg.AsyncConnection, model: ReadModel, generation: int, poison: Sequence[Poison]
) -> None:
    """Remember parked streams, in the transaction that moves the position past them."""
    for found in poison:
        log.error(
            "%s: parked the stream of user %s at position %d (%s: %s)",
            model.name, found.user_id, found.position, found.event_name, found.reason,
        )  # fmt: skip
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
    page: Sequence[Recorded | Unreadable], waiting: set[UUID]
) -> tuple[dict[UUID, list[Recorded]], dict[UUID, Poison]]:
    events: dict[UUID, list[Recorded]] = {}
    poison: dict[UUID, Poison] = {}
    for event in page:
        if event.user_id in waiting or event.user_id in poison:
            continue
        if isinstance(event, Unreadable):
            poison[event.user_id] = _poison(event, event.reason)
        else:
            events.setdefault(event.user_id, []).append(event)
    return events, poison


def _folded(
    model: ReadModel, user_id: UUID, state: Any, events: Sequence[Recorded]
) -> tuple[Any, Poison | None]:
    """What a page means for one user, as far as it can be folded, and the event that it stops at."""
    with contextlib.suppress(Exception):
        return model.fold(user_id, state, events), None
    change = None
    for count, event in enumerate(events, start=1):
        try:
            change = model.fold(user_id, state, events[:count])
        except Exception as error:
            return change, _poison(event, type(error).__name__)
    return change, None


async def _write(
    connection: psycopg.AsyncConnection,
    write: Write,
    table: str,
    changes: Mapping[UUID, Any],
    events: Mapping[UUID, Sequence[Recorded]],
) -> list[Poison]:
    """Write all changes, or find by halving the users whose rows the database refuses."""
    if not changes:
        return []
    try:
        async with connection.transaction():
            await write(connection, table, list(changes.values()))
        return []
    except REFUSED as error:
        if len(changes) == 1:
            (user_id,) = changes
            return [_poison(events[user_id][0], type(error).__name__)]
    users = list(changes)
    poison: list[Poison] = []
    for half in (users[: len(users) // 2], users[len(users) // 2 :]):
        poison += await _write(connection, write, table, {user: changes[user] for user in half}, events)
    return poison


def _poison(event: Recorded | Unreadable, reason: str) -> Poison:
    return Poison(event.user_id, event.position, event.name, reason)
