"""A connection of one's own that is made when it is first needed, and anew when it has died."""

from __future__ import annotations

import contextlib
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL

from infrastructure.postgres.lending import Connection

# A plan that was cached while a table was empty would scan it whole for ever; point reads never should.
INDEXES_ONLY: LiteralString = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)


class LastingConnection:
    """Runs one prepared statement after another that finds its rows by indexes, one at a time."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None

    async def rows(self, statement: SQL, parameters: list[Any]) -> list[tuple[Any, ...]]:
        """What a statement answers. One that fails with its connection is said once more on a new one, so
        that it may be carried out twice. Raises psycopg.Error."""
        for attempt in (1, 2):
            try:
                connection = await self._connected()
                cursor = await connection.execute(statement, parameters, prepare=True, binary=True)
                return await cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # It may have died while it lay idle; a fresh one tells.
                await self.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None

    async def _connected(self) -> Connection:
        if self._connection is None:
            connection = await Connection.connect(self._conninfo, autocommit=True)
            await connection.settle(INDEXES_ONLY)
            self._connection = connection
        return self._connection
