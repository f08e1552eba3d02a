"""Puts one user's rows right: folds the whole stream afresh, in one transaction, whatever the rows were."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.projections import NothingParked, Repaired, UnknownGeneration
from projections.page import Aside, Poison, fold_page, parked, remember, write_page
from projections.readmodel import LogPages, ReadModel, suffixes, table_name

# Whoever owns a generation finds itself fenced, takes the lease anew and learns who is parked by now.
_LOCK = """
UPDATE projections SET fencing = fencing + 1
WHERE name = %s AND version = %s AND generation = %s AND state <> 'building'
RETURNING position"""

_BUILT = """
SELECT generation FROM projections WHERE name = %s AND version = %s AND state <> 'building'
ORDER BY generation"""

_IN_THE_LOG = "SELECT 1 FROM events WHERE stream_id = %s LIMIT 1"

_KEYED = """
SELECT attrelid::regclass::text FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"""

_UNPARK = """
DELETE FROM parked_streams WHERE projection = %s AND version = %s AND generation = %s AND user_id = %s"""

_AGREE = """
DELETE FROM projection_differences
WHERE projection = %s AND version = %s AND generation = %s AND user_id = %s"""

_PARKED = """
SELECT DISTINCT s.position, coalesce(e.version, 1), s.event_name
FROM parked_streams s LEFT JOIN events e ON e.position = s.position
WHERE s.projection = %s AND s.version = %s AND s.user_id = %s"""

_DISCARD = """
INSERT INTO discarded_events (projection, version, position, user_id, event_version, event_name, reason, by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (projection, version, position) DO NOTHING"""

_UNDO = """
DELETE FROM discarded_events WHERE projection = %s AND version = %s AND position = %s RETURNING user_id"""


async def built(connection: psycopg.AsyncConnection, model: ReadModel) -> list[int]:
    """The generations that are kept up to date: the live one, and those that a switch may bring back."""
    cursor = await connection.execute(_BUILT, (model.name, model.version))
    return [row[0] for row in await cursor.fetchall()]


async def repair(
    connection: psycopg.AsyncConnection, pages: LogPages, model: ReadModel, number: int, user_id: UUID
) -> Repaired:
    """Write a user's rows of a generation anew, up to where the generation is; readers see all or nothing.

    A stream that was parked goes on if it can be applied by now; else it stays parked, and the attempt is
    counted. Raises UnknownGeneration where there is none that could be repaired.
    """
    async with connection.transaction():
        return await _repair(connection, pages, model, number, user_id)


async def _repair(
    connection: psycopg.AsyncConnection, pages: LogPages, model: ReadModel, number: int, user_id: UUID
) -> Repaired:
    key = (model.name, model.version, number)
    row = await (await connection.execute(_LOCK, key)).fetchone()
    if row is None:
        raise UnknownGeneration(model.name, number)
    position = int(row[0])
    aside = await parked(connection, model, number)
    was_parked = aside.waiting.pop(user_id, None) is not None
    await _remove(connection, model, number, user_id)
    poison = await _fold_afresh(connection, pages, model, number, aside, user_id, position)
    if poison:
        # Not logged: whoever asked is answered with it.
        await remember(connection, model, number, poison)
    else:
        await connection.execute(_UNPARK, (*key, user_id))
    await connection.execute(_AGREE, (*key, user_id))
    return Repaired(
        name=model.name,
        generation=number,
        user_id=user_id,
        position=position,
        was_parked=was_parked,
        parked_at=poison[0].position if poison else None,
        reason=poison[0].reason if poison else None,
    )


async def _fold_afresh(
    connection: psycopg.AsyncConnection,
    pages: LogPages,
    model: ReadModel,
    number: int,
    aside: Aside,
    user_id: UUID,
    position: int,
) -> list[Poison]:
    streams = await pages.read_streams(connection, [user_id])
    events = [event for event in streams.get(user_id, ()) if event.position <= position]
    table = table_name(model, number)
    folded = await fold_page(connection, model, table, events, aside, from_empty=True)
    return await write_page(connection, model, table, folded)


async def is_known(connection: psycopg.AsyncConnection, model: ReadModel, user_id: UUID) -> bool:
    """Whether a user has events, or rows in a generation that is kept up to date."""
    if await (await connection.execute(_IN_THE_LOG, (user_id,))).fetchone():
        return True
    for number in await built(connection, model):
        for table in await _keyed(connection, model, number):
            statement = SQL("SELECT FROM {} WHERE {} = %s LIMIT 1")
            query = statement.format(Identifier(table), Identifier(model.key))
            if await (await connection.execute(query, (user_id,))).fetchone() is not None:
                return True
    return False


async def _remove(connection: psycopg.AsyncConnection, model: ReadModel, number: int, user_id: UUID) -> None:
    for table in await _keyed(connection, model, number):
        statement = SQL("DELETE FROM {} WHERE {} = %s").format(Identifier(table), Identifier(model.key))
        await connection.execute(statement, (user_id,))


async def _keyed(connection: psycopg.AsyncConnection, model: ReadModel, number: int) -> list[str]:
    """The tables of a generation that have rows of users."""
    tables = [table_name(model, number) + suffix for suffix in suffixes(model)]
    return [
        table
        for table in tables
        if await (await connection.execute(_KEYED, (table, model.key))).fetchone() is not None
    ]


async def discard(
    connection: psycopg.AsyncConnection,
    pages: LogPages,
    model: ReadModel,
    user_id: UUID,
    reason: str,
    by: str,
) -> list[Repaired]:
    """Have a read model go on without the event that stopped a user's stream, in every generation.

    The decision is recorded in the transaction that carries it out. Where a later event stops the stream
    again, it is parked there. Raises NothingParked.
    """
    async with connection.transaction():
        numbers = await _locked(connection, model)
        cursor = await connection.execute(_PARKED, (model.name, model.version, user_id))
        events = await cursor.fetchall()
        if not events:
            raise NothingParked(model.name, user_id)
        for position, version, name in events:
            key = (model.name, model.version, position)
            await connection.execute(_DISCARD, (*key, user_id, version, name, reason, by))
        return [await _repair(connection, pages, model, number, user_id) for number in numbers]


async def undo_discard(
    connection: psycopg.AsyncConnection, pages: LogPages, model: ReadModel, position: int
) -> Sequence[Repaired]:
    """Take back a decision to go on without an event. Raises NothingParked where there was none."""
    async with connection.transaction():
        numbers = await _locked(connection, model)
        cursor = await connection.execute(_UNDO, (model.name, model.version, position))
        row = await cursor.fetchone()
        if row is None:
            raise NothingParked(model.name, position)
        return [await _repair(connection, pages, model, number, row[0]) for number in numbers]


async def _locked(connection: psycopg.AsyncConnection, model: ReadModel) -> list[int]:
    """The generations that are kept up to date, each locked against its owner."""
    numbers = await built(connection, model)
    for number in numbers:
        await connection.execute(_LOCK, (model.name, model.version, number))
    return numbers
