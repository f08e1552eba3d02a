"""The pool of connections for what is neither the append nor a reader of the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg_pool import AsyncConnectionPool

from infrastructure.postgres.lending import Connection

SETTLED: LiteralString = "SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0"
"""Every statement over the pool has an index to go by, and none is worth compiling or a second core."""


@asynccontextmanager
async def open_pool(conninfo: str, size: int) -> AsyncIterator[AsyncConnectionPool]:
    """A pool of at most `size` connections, closed on the way out."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        conninfo,
        connection_class=Connection,
        min_size=1,
        max_size=size,
        timeout=5.0,
        max_waiting=1000,
        kwargs={"autocommit": True},
        check=AsyncConnectionPool.check_connection,
        configure=_configure,
        open=False,
        name="usersd",
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def _configure(connection: Connection) -> None:
    await connection.settle(SETTLED)
