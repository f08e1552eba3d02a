"""A lock that keeps every append waiting: a database that is stuck but not away."""

from __future__ import annotations

import psycopg

from tests.support.waiting import eventually


class LockedLog:
    """Holds the events table until it is released."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def __aenter__(self) -> LockedLog:
        self._connection = await psycopg.AsyncConnection.connect(self._conninfo)
        await self._connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def somebody_waits(self, how_many: int = 1) -> None:
        """Return when so many appends have come as far as this lock or the one before it."""

        async def wait() -> bool:
            query = """SELECT count(*) FROM pg_locks WHERE NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
            row = await (await self._connection.execute(query)).fetchone()
            return row == (how_many,)

        await eventually(wait)

    async def release(self) -> None:
        await self._connection.rollback()
