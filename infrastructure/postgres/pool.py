"""The pool of connections for what is neither the append nor a reader of the log."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg_pool import AsyncConnectionPool

from application.outages import Outage
from infrastructure.postgres.complaints import cause
from infrastructure.postgres.lending import Connection, still_there

SETTLED: LiteralString = "SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0"
"""Every statement over the pool has an index to go by, and none is worth compiling or a second core."""

_TRIED_IN_VAIN = "error connecting in "
"""How the pool begins what it says of every single try, of which there are several a second."""

_NUMBERS = itertools.count(1)

log = logging.getLogger("usersd.pool")


class _Sparing(logging.Filter):
    """Has the tries of a pool to connect told as one outage."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self._pool = pool
        self.outage = Outage(log, "the pool gets no connection to PostgreSQL")

    def filter(self, record: logging.LogRecord) -> bool:
        match record.args:
            case (self._pool, Exception() as error) if str(record.msg).startswith(_TRIED_IN_VAIN):
                self.outage.goes_on(cause(error))
                return False
        return True


@asynccontextmanager
async def open_pool(conninfo: str, size: int) -> AsyncIterator[AsyncConnectionPool]:
    """A pool of at most `size` connections, closed on the way out."""
    # Each pool hears of its own tries alone, however many there are in a process.
    name = f"usersd-{next(_NUMBERS)}"
    sparing = _Sparing(name)

    async def configure(connection: Connection) -> None:
        await connection.settle(SETTLED)
        sparing.outage.is_over()

    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        conninfo,
        connection_class=Connection,
        min_size=1,
        max_size=size,
        timeout=5.0,
        max_waiting=1000,
        kwargs={"autocommit": True},
        check=still_there,
        configure=configure,
        open=False,
        name=name,
    )
    tells = logging.getLogger("psycopg.pool")
    # Whoever imports the recorders of the eventsourcing library silences it.
    tells.setLevel(logging.WARNING)
    tells.addFilter(sparing)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
        tells.removeFilter(sparing)
