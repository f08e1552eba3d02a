"""Builds a read model anew from the log beside the live one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import psycopg
from psycopg.sql import SQL, Identifier

from application.operations import Progress, RebuildRunning, Rebuilt
from application.ports import Recorded, Unreadable
from projections import tables
from projections.generation import Generation, head_of, look_at
from projections.page import parked
from projections.readmodel import LogPages, ReadModel
from projections.switch import switch

PAGE = 5000
CLOSE = 500
"""With so few events left, the switch takes the last ones along while it holds the live row."""


async def rebuild(
    model: ReadModel,
    pages: LogPages,
    conninfo: str,
    progress: Callable[[Progress], None] = lambda step: None,
    *,
    switching: bool = True,
) -> Rebuilt:
    """Grow a new generation from the log, and make it the live one unless told not to.

    Requests are answered from the old generation meanwhile, which goes on following the log afterwards:
    one switch brings it back. Killed, a rebuild is taken up where it was: every page and its position are
    one transaction. Raises RebuildRunning.
    """
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await _alone(connection, model)
        number = await asyncio.to_thread(_begin, conninfo, model)
        generation = await look_at(connection, model, number)
        work = _Rebuild(generation, pages, connection, conninfo, progress)
        if generation.state == "building":
            await work.grow()
        if not switching:
            return Rebuilt(model.name, number, generation.position, len(generation.waiting))
        switched = await switch(connection, pages, model, number)
        progress(Progress(switched.position, switched.position, "switched"))
        await asyncio.to_thread(_drop_all_but_the_last, conninfo, model)
        waiting = await parked(connection, model, number)
    return Rebuilt(model.name, number, switched.position, len(waiting), switched.milliseconds)


def _begin(conninfo: str, model: ReadModel) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return tables.begin(connection, model)


def _drop_all_but_the_last(conninfo: str, model: ReadModel) -> None:
    """One generation is kept to go back to; two would only take up room."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for number in tables.old(connection, model)[1:]:
            tables.drop(connection, model, number)


async def _alone(connection: psycopg.AsyncConnection, model: ReadModel) -> None:
    key = f"usersd rebuild {model.name}"
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise RebuildRunning(model.name)


class _Rebuild:
    def __init__(
        self,
        generation: Generation,
        pages: LogPages,
        connection: psycopg.AsyncConnection,
        conninfo: str,
        progress: Callable[[Progress], None],
    ) -> None:
        self._generation = generation
        self._pages = pages
        self._connection = connection
        self._conninfo = conninfo
        self._progress = progress

    async def grow(self) -> None:
        """Read the log, build the indexes, read what came meanwhile; then a projector takes over."""
        # A flush per page is a waste here: what a crash loses is read again from the position before.
        await self._connection.execute("SET synchronous_commit = off")
        await self._catch_up("reading the log")
        await self._build_indexes()
        await self._catch_up("catching up")
        await self._connection.execute("SET synchronous_commit = on")
        await self._generation.become(self._connection, "following")

    async def _catch_up(self, stage: str) -> None:
        """Apply pages until few events are left; to wait for none would never end while writes go on."""
        generation = self._generation
        head = await head_of(self._connection)
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as ahead:
            coming = self._read_ahead(ahead, generation.position)
            try:
                while head - generation.position > CLOSE and (page := await coming):
                    coming = self._read_ahead(ahead, page[-1].position)
                    await asyncio.sleep(0)
                    async with self._connection.transaction():
                        await generation.apply(self._connection, page, from_empty=True)
                    if head - generation.position <= CLOSE:
                        head = await head_of(self._connection)
                    self._progress(Progress(generation.position, head, stage))
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _read_ahead(
        self, connection: psycopg.AsyncConnection, after: int
    ) -> asyncio.Task[Sequence[Recorded | Unreadable]]:
        """The next page, read by the database while this process folds the one before."""
        return asyncio.create_task(self._page(connection, after))

    async def _page(self, connection: psycopg.AsyncConnection, after: int) -> Sequence[Recorded | Unreadable]:
        return await self._pages.read(connection, after, PAGE)

    async def _build_indexes(self) -> None:
        """Build the indexes, two at a time: each one keeps a core busy."""
        generation = self._generation
        todo = [
            index.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS").encode()
            for index in generation.model.indexes(generation.table)
        ]

        async def build() -> None:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                await connection.execute("SET maintenance_work_mem = '128MB'")
                while todo:
                    self._progress(Progress(generation.position, generation.position, "building indexes"))
                    await connection.execute(todo.pop(0))

        await asyncio.gather(build(), build())
        # A vacuum too: totals are counted in an index alone where the pages are known to be all visible.
        await self._connection.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(generation.table)))
