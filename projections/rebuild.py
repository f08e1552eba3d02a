"""Rebuilds a read model from the log beside the live one, and switches when it has caught up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.operations import Progress, RebuildRunning, Rebuilt
from application.ports import Recorded, Unreadable
from projections import tables
from projections.page import apply_page, park, parked
from projections.readmodel import LogPages, ReadModel, table_name

PAGE = 5000
CLOSE = 500
"""With so few events left, the switch takes the last ones along while it holds the live row."""


_LOCK_LIVE = """
SELECT generation, fencing FROM projections WHERE name = %s AND version = %s AND live FOR UPDATE"""


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
        with psycopg.connect(conninfo, autocommit=True) as making:
            generation = tables.begin(making, model)
        work = _Rebuild(model, pages, connection, generation, progress)
        await work.start()
        await work.catch_up("reading the log")
        await work.build_indexes()
        await work.catch_up("catching up", until=CLOSE)
        old = await work.switch()
        with psycopg.connect(conninfo, autocommit=True) as dropping:
            for generation_before in old:
                tables.drop(dropping, model, generation_before)
    return Rebuilt(model.name, generation, work.position, len(work.waiting))


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
        generation: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._model = model
        self._pages = pages
        self._connection = connection
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

    async def catch_up(self, stage: str, until: int = 0) -> None:
        """Apply pages until at most `until` events are left."""
        head = await self._head()
        while head - self.position > until:
            page = await self._pages.read(self._connection, self.position, PAGE)
            async with self._connection.transaction():
                await self._apply(page)
            if self.position >= head:
                head = await self._head()
            self._progress(Progress(self.position, head, stage))

    async def build_indexes(self) -> None:
        table = table_name(self._model, self._generation)
        await self._connection.execute("SET maintenance_work_mem = '256MB'")
        for index in self._model.indexes(table):
            self._progress(Progress(self.position, self.position, "building indexes"))
            await self._connection.execute(
                index.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS").encode()
            )
        await self._connection.execute(SQL("ANALYZE {}").format(Identifier(table)))

    async def switch(self) -> list[int]:
        """Make this generation live, in one transaction that the live projector's next write waits for."""
        await self._connection.execute("SET synchronous_commit = on")
        connection = self._connection
        async with connection.transaction():
            cursor = await connection.execute(
                _LOCK_LIVE,
                self._key[:2],
            )
            old = await cursor.fetchall()
            while page := await self._pages.read(connection, self.position, PAGE):
                await self._apply(page)
            await connection.execute(
                "UPDATE projections SET live = false WHERE name = %s AND version = %s AND live", self._key[:2]
            )
            await connection.execute(
                "UPDATE projections SET live = true, fencing = %s, advanced_at = now()"
                " WHERE name = %s AND version = %s AND generation = %s",
                (max((fencing for _, fencing in old), default=0) + 1, *self._key),
            )
            await connection.execute(tables.showing(self._model, self._generation))
        return [generation for generation, _ in old]

    async def _apply(self, page: Sequence[Recorded | Unreadable]) -> None:
        table = table_name(self._model, self._generation)
        poison = await apply_page(self._connection, self._model, table, page, self.waiting)
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
