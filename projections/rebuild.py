"""Rebuilds a read model from the log beside the live one, and switches when it has caught up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.operations import Progress, RebuildRunning, Rebuilt
from application.ports import Recorded, Unreadable
from projections import tables
from projections.lease import announce
from projections.page import fold_page, park, parked, write_page
from projections.readmodel import LogPages, ReadModel, table_name

PAGE = 5000
CLOSE = 500
"""With so few events left, the switch takes the last ones along while it holds the live row."""


_LOCK_LIVE = """
SELECT fencing FROM projections WHERE name = %s AND version = %s AND live FOR UPDATE"""


async def rebuild(
    model: ReadModel,
    pages: LogPages,
    conninfo: str,
    progress: Callable[[Progress], None] = lambda step: None,
) -> Rebuilt:
    """Grow a new generation from the log, then make it the live one.

    Requests are answered from the old generation meanwhile. Killed, it is taken up where it was: every
    page and its position are one transaction.
    """
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await _alone(connection, model)
        generation = await asyncio.to_thread(_begin, conninfo, model)
        work = _Rebuild(model, pages, connection, conninfo, generation, progress)
        await work.start()
        await work.catch_up("reading the log")
        await work.build_indexes()
        await work.catch_up("catching up")
        await work.switch()
        await asyncio.to_thread(_tidy_up, conninfo, model)
    return Rebuilt(model.name, generation, work.position, len(work.waiting))


def _begin(conninfo: str, model: ReadModel) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return tables.begin(connection, model)


def _tidy_up(conninfo: str, model: ReadModel) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        tables.drop_old(connection, model)


async def _alone(connection: psycopg.AsyncConnection, model: ReadModel) -> None:
    key = f"usersd rebuild {model.name}"
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise RebuildRunning(model.name)


class _Rebuild:
    def __init__(
        self,
        model: ReadModel,
        pages: LogPages,
        connection: psycopg.AsyncConnection,
        conninfo: str,
        generation: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._model = model
        self._pages = pages
        self._connection = connection
        self._conninfo = conninfo
        self._generation = generation
        self._key = (model.name, model.version, generation)
        self._progress = progress
        self.position = 0
        self.waiting: set[UUID] = set()

    async def start(self) -> None:
        cursor = await self._connection.execute(
            "SELECT position FROM projections WHERE name = %s AND version = %s AND generation = %s", self._key
        )
        row = await cursor.fetchone()
        assert row is not None
        self.position = row[0]
        self.waiting = await parked(self._connection, self._model, self._generation)
        # A flush per page is a waste here: what a crash loses is read again from the position before.
        await self._connection.execute("SET synchronous_commit = off")

    async def catch_up(self, stage: str) -> None:
        """Apply pages until few events are left; to wait for none would never end while writes go on."""
        head = await self._head()
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as ahead:
            coming = self._read_ahead(ahead, self.position)
            try:
                while head - self.position > CLOSE and (page := await coming):
                    coming = self._read_ahead(ahead, page[-1].position)
                    await asyncio.sleep(0)
                    async with self._connection.transaction():
                        await self._apply(page)
                    if head - self.position <= CLOSE:
                        head = await self._head()
                    self._progress(Progress(self.position, head, stage))
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

    async def build_indexes(self) -> None:
        """Build the indexes, two at a time: each one keeps a core busy."""
        table = table_name(self._model, self._generation)
        todo = [
            index.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS").encode()
            for index in self._model.indexes(table)
        ]

        async def build() -> None:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                await connection.execute("SET maintenance_work_mem = '128MB'")
                while todo:
                    self._progress(Progress(self.position, self.position, "building indexes"))
                    await connection.execute(todo.pop(0))

        await asyncio.gather(build(), build())
        # A vacuum too: totals are counted in an index alone where the pages are known to be all visible.
        await self._connection.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(table)))

    async def switch(self) -> None:
        """Make this generation live, in one transaction that the live projector's next write waits for."""
        await self._connection.execute("SET synchronous_commit = on")
        connection = self._connection
        async with connection.transaction():
            cursor = await connection.execute(_LOCK_LIVE, self._key[:2])
            fencing = [row[0] for row in await cursor.fetchall()]
            # No further than the log reaches now: it may grow as fast as it is read, and others wait.
            head = await self._head()
            while self.position < head:
                await self._apply(await self._pages.read(connection, self.position, PAGE, head))
            await connection.execute(
                "UPDATE projections SET live = false WHERE name = %s AND version = %s AND live", self._key[:2]
            )
            await connection.execute(
                "UPDATE projections SET live = true, fencing = %s, advanced_at = now()"
                " WHERE name = %s AND version = %s AND generation = %s",
                (max(fencing, default=0) + 1, *self._key),
            )
            await connection.execute(tables.showing(self._model, self._generation))
            await announce(connection, self._model, self.position)
        self._progress(Progress(self.position, self.position, "switched"))

    async def _apply(self, page: Sequence[Recorded | Unreadable]) -> None:
        table = table_name(self._model, self._generation)
        connection, model = self._connection, self._model
        folded = await fold_page(connection, model, table, page, self.waiting, from_empty=True)
        poison = await write_page(connection, model, table, folded)
        await park(self._connection, self._model, self._generation, poison)
        self.waiting.update(found.user_id for found in poison)
        self.position = page[-1].position
        await self._connection.execute(
            "UPDATE projections SET position = %s, advanced_at = now()"
            " WHERE name = %s AND version = %s AND generation = %s",
            (self.position, *self._key),
        )

    async def _head(self) -> int:
        cursor = await self._connection.execute("SELECT coalesce(max(position), 0) FROM events")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])
