"""The log for whoever follows it within this process: pages of events, and a wake-up when there are more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.ports import Recorded, Unreadable
from domain.errors import Unavailable
from infrastructure.event_store.log import EventReader
from infrastructure.postgres.lasting import INDEXES_ONLY
from infrastructure.postgres.lending import Connection
from infrastructure.postgres.notifications import Signal

T = TypeVar("T")

CONNECTIONS = 2
"""Of its own, so that nobody who follows keeps a request waiting, and none before somebody follows."""

PATIENCE = 10.0


class PostgresChanges:
    """Pages of the log; no connection is held between two of them."""

    def __init__(self, conninfo: str, reader: EventReader, appended: Signal) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            connection_class=Connection,
            configure=_configure,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=PATIENCE,
            kwargs={"autocommit": True},
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="changes",
        )
        self._reader = reader
        self._appended = appended
        self._reading: set[asyncio.Future[Any]] = set()
        self._opened = False

    async def head(self) -> int:
        """The position of the last event. Raises Unavailable."""
        return await self._whole(self._head())

    async def page(self, after: int, limit: int) -> Sequence[Recorded | Unreadable]:
        """The next events in order, none left out. Raises Unavailable."""
        return await self._whole(self._page(after, limit))

    async def wait(self, within: float) -> bool:
        """Until something was appended, or so many seconds have passed."""
        return await self._appended.wait(within)

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.close()

    async def _whole(self, read: Awaitable[T]) -> T:
        # To cancel a statement costs the database a connection; whoever leaves in the middle leaves alone.
        reading = asyncio.ensure_future(read)
        self._reading.add(reading)
        reading.add_done_callback(self._done)
        return await asyncio.shield(reading)

    def _done(self, reading: asyncio.Future[Any]) -> None:
        self._reading.discard(reading)
        if not reading.cancelled():
            reading.exception()

    async def _head(self) -> int:
        try:
            async with (await self._open()).connection() as connection:
                cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM events")
                row = await cursor.fetchone()
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None
        assert row is not None
        return int(row[0])

    async def _page(self, after: int, limit: int) -> Sequence[Recorded | Unreadable]:
        try:
            async with (await self._open()).connection() as connection:
                return await self._reader.read(connection, after, limit)
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None

    async def _open(self) -> AsyncConnectionPool[Connection]:
        if not self._opened:
            self._opened = True
            await self._pool.open()
        return self._pool


async def _configure(connection: Connection) -> None:
    await connection.settle(INDEXES_ONLY)
