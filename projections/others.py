"""Tells whether others work on the same database: what cannot be slowed down is then done one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

SECONDS = 1.0
"""From one look to the next; the database itself counts no finer."""

QUIET = 150.0
"""Transactions a second that are no sign of requests: a service that nobody asks makes some too."""

_COUNT = """
SELECT xact_commit + xact_rollback, extract(epoch FROM clock_timestamp())::float8
FROM pg_stat_database WHERE datname = current_database()"""


class Others:
    """`at_work` is how it was within the last second; True until it is known."""

    def __init__(self) -> None:
        self.at_work = True

    @asynccontextmanager
    async def watched(self, conninfo: str) -> AsyncIterator[None]:
        """Look again and again, for as long as the caller does not make many transactions itself."""
        watching = asyncio.create_task(self._watch(conninfo))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, psycopg.Error):
                await watching

    async def _watch(self, conninfo: str) -> None:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            count, at = await _look(connection)
            while True:
                await asyncio.sleep(SECONDS)
                counted, now = await _look(connection)
                self.at_work = (counted - count) / (now - at) > QUIET
                count, at = counted, now


async def _look(connection: psycopg.AsyncConnection) -> tuple[int, float]:
    row = await (await connection.execute(_COUNT)).fetchone()
    assert row is not None
    return int(row[0]), float(row[1])
