"""Divides the reading of the log among several writers: each takes the users of a part, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from projections.generation import Generation, look_at
from projections.others import Others
from projections.pace import Pace
from projections.priority import working
from projections.readmodel import LogPages, ReadModel

_PARTS = """
SELECT part, parts, position, target FROM projection_parts
WHERE name = %s AND version = %s AND generation = %s ORDER BY part"""

_INSERT = """
INSERT INTO projection_parts (name, version, generation, part, parts, position, target)
SELECT %s, %s, %s, part, %s, %s, %s FROM generate_series(0, %s - 1) AS part"""

_MOVE = """
UPDATE projection_parts SET position = %s
WHERE name = %s AND version = %s AND generation = %s AND part = %s AND position = %s"""

_SHOW = """
UPDATE projections AS p SET position = reached.position, advanced_at = now()
FROM (SELECT min(position) AS position, avg(position) AS mean FROM projection_parts
      WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s) AS reached
WHERE p.name = %(name)s AND p.version = %(version)s AND p.generation = %(generation)s
  AND reached.position IS NOT NULL
RETURNING p.position, reached.mean"""

_JOIN = "DELETE FROM projection_parts WHERE name = %s AND version = %s AND generation = %s"


class Part(msgspec.Struct, frozen=True):
    """The users of one residue of a hash of their ids: number `number` of `count`, done up to `position`."""

    number: int
    count: int
    position: int
    target: int


class Workers(Protocol):
    """Fills parts in processes of their own."""

    async def fill(
        self, generation: Generation, parts: Sequence[Part], rate: float | None, *, gentle: bool
    ) -> None:
        """Return when all parts are done. Raises WorkerLost, and ends the others, where one ends before."""


class Moved(Exception):
    """Somebody else moved the position of the part; nothing was written."""


async def parts_of(connection: psycopg.AsyncConnection, generation: Generation) -> list[Part]:
    """The parts that a rebuild was divided into, none where it is not."""
    cursor = await connection.execute(_PARTS, generation.key)
    return [Part(*row) for row in await cursor.fetchall()]


async def divide(
    connection: psycopg.AsyncConnection, generation: Generation, count: int, target: int
) -> list[Part]:
    """Parts from where the generation stands to `target`; a rebuild that was cut short keeps its own."""
    if found := await parts_of(connection, generation):
        return found
    place = (*generation.key, count, generation.position, target, count)
    await connection.execute(_INSERT, place)
    return await parts_of(connection, generation)


async def reached(connection: psycopg.AsyncConnection, generation: Generation) -> int:
    """Show how far all parts are; answers how far they are in the mean, for a bar that moves evenly."""
    name, version, number = generation.key
    names = {"name": name, "version": version, "generation": number}
    row = await (await connection.execute(_SHOW, names)).fetchone()
    if row is None:
        return generation.position
    generation.position = row[0]
    return int(row[1])


async def join(connection: psycopg.AsyncConnection, generation: Generation) -> None:
    """End the division: every part is at its target."""
    async with connection.transaction():
        await reached(connection, generation)
        await connection.execute(_JOIN, generation.key)


async def fill(
    conninfo: str,
    pages: LogPages,
    model: ReadModel,
    number: int,
    part: Part,
    rate: float | None,
    *,
    gentle: bool = True,
) -> None:
    """Take the events of a part in, up to its target; each page and the position are one transaction.

    `rate` limits it, in events per second; `gentle` leaves half of the time to others at work. Raises Moved
    where another process fills the same part.
    """
    others = Others()
    pace = Pace(rate, others if gentle else None, part.count)
    async with (
        others.watched(conninfo),
        working(conninfo, gentle=gentle) as connection,
        working(conninfo, gentle=gentle) as ahead,
    ):
        # A flush per page is a waste here: what a crash loses is read again from the position before.
        await connection.execute("SET synchronous_commit = off")
        generation = await look_at(connection, model, number)
        position = part.position
        until, coming = _read_ahead(ahead, pages, part, position, pace)
        try:
            while position < part.target:
                page, reach = await coming, until
                until, coming = _read_ahead(ahead, pages, part, reach, pace)
                await asyncio.sleep(0)
                async with connection.transaction():
                    # The position first: whoever comes second waits for it, and finds it moved.
                    moved = await connection.execute(_MOVE, (reach, *generation.key, part.number, position))
                    if moved.rowcount != 1:
                        raise Moved
                    if page:
                        await generation.take_in(connection, page, from_empty=True)
                position = reach
                await pace.spend(len(page))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _read_ahead(
    connection: psycopg.AsyncConnection, pages: LogPages, part: Part, after: int, pace: Pace
) -> tuple[int, asyncio.Task[Sequence[Recorded | Unreadable]]]:
    """The next page, read by the database while this process folds the one before, and where it ends."""
    until = min(part.target, after + pace.page() * part.count)
    return until, asyncio.create_task(_page(connection, pages, part, after, until))


async def _page(
    connection: psycopg.AsyncConnection, pages: LogPages, part: Part, after: int, until: int
) -> Sequence[Recorded | Unreadable]:
    return await pages.read_part(connection, after, until, part.number, part.count)
