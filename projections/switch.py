"""Makes another generation of a read model the one that is read, in one short transaction."""

from __future__ import annotations

import asyncio
import time

import psycopg

from application.operations import NothingToSwitchTo, SwitchBlocked, Switched
from projections import tables
from projections.generation import Generation, head_of, look_at
from projections.lease import announce
from projections.readmodel import LogPages, ReadModel

PAGE = 1000

PATIENCE = 0.05
"""Seconds for which a switch waits for a lock, and with it every query that comes after. Then it steps
back, and lets those pass that it waited for."""

STEPS_BACK = 200

FROZEN = 5
"""Seconds after which the database ends a switch whose process stands still: every reader waits for it."""

_LOCK = """
SELECT generation, live FROM projections WHERE name = %s AND version = %s ORDER BY generation FOR UPDATE"""

_NEWER = """
SELECT generation FROM projections AS p
WHERE name = %s AND version = %s AND state = 'following' AND paused_at IS NULL AND generation > (
    SELECT coalesce(max(generation), 0) FROM projections WHERE (name, version) = (p.name, p.version) AND live)
ORDER BY generation DESC LIMIT 1"""

_LAST = """
SELECT generation FROM projections
WHERE name = %s AND version = %s AND state = 'following' AND paused_at IS NULL AND left_at IS NOT NULL
ORDER BY left_at DESC LIMIT 1"""


async def switch(
    connection: psycopg.AsyncConnection, pages: LogPages, model: ReadModel, number: int
) -> Switched:
    """Make a generation live that has been built; the one that was live goes on following the log.

    The last few events are taken along under the lock, so that nobody who reads sees less than before.
    Raises LookupError where there is no such generation, SwitchBlocked where long queries never let it in.
    """
    for _ in range(STEPS_BACK):
        try:
            return await _try(connection, pages, await look_at(connection, model, number))
        except psycopg.errors.LockNotAvailable:
            await asyncio.sleep(PATIENCE)
    raise SwitchBlocked(model.name)


async def _try(connection: psycopg.AsyncConnection, pages: LogPages, generation: Generation) -> Switched:
    model = generation.model
    began = time.perf_counter()
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {round(PATIENCE * 1000)}")
        await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{FROZEN}s'")
        cursor = await connection.execute(_LOCK, (model.name, model.version))
        was_live = [number for number, live in await cursor.fetchall() if live]
        generation = await look_at(connection, model, generation.number)
        # No further than the log reaches now: it may grow as fast as it is read, and others wait.
        head = await head_of(connection)
        while generation.position < head:
            await generation.apply(connection, await pages.read(connection, generation.position, PAGE, head))
        for number in was_live:
            await (await look_at(connection, model, number)).become(connection, "following")
        await generation.become(connection, "live")
        for statement in tables.showing(model, generation.number):
            await connection.execute(statement)
        await announce(connection, model, generation.position)
    milliseconds = (time.perf_counter() - began) * 1000
    return Switched(model.name, generation.number, generation.position, round(milliseconds, 1))


async def beside(connection: psycopg.AsyncConnection, model: ReadModel, *, newer: bool) -> int:
    """The generation to switch to: the newest that is newer than the live one, or the one that was read last.

    Raises NothingToSwitchTo.
    """
    query = _NEWER if newer else _LAST
    row = await (await connection.execute(query, (model.name, model.version))).fetchone()
    if row is None:
        raise NothingToSwitchTo(model.name, newer=newer)
    return int(row[0])
