"""The accounts that are closed, read where the append writes them, and which kinds are swept since when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from application.sweeping import Closed
from domain.values import Status

_CLOSED = """
SELECT user_id, since FROM credentials
WHERE status = %s AND user_id > %s AND since < %s
ORDER BY user_id LIMIT %s"""

_BEGIN = "INSERT INTO sweeps (kind, begun_at) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING"
_END = "DELETE FROM sweeps WHERE kind <> ALL (%s)"
_BEGUN = "SELECT kind, begun_at, reported_at IS NOT NULL FROM sweeps WHERE kind = ANY (%s)"
_REPORTED = "UPDATE sweeps SET reported_at = coalesce(reported_at, %s) WHERE kind = %s"


class PostgresClosedAccounts:
    """Implements the port ClosedAccounts."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def closed(self, status: Status, before: datetime, after: UUID, limit: int) -> Sequence[Closed]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_CLOSED, (status.value, after, before, limit))
            return [Closed(user_id, status, since) for user_id, since in await cursor.fetchall()]

    async def begin(self, kinds: Sequence[Status], at: datetime, *, end_others: bool) -> None:
        names = [kind.value for kind in kinds]
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_BEGIN, (names, at))
            if end_others:
                await connection.execute(_END, (names,))

    async def begun(self, kind: Status) -> tuple[datetime, bool] | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_BEGUN, ([kind.value],))
            row = await cursor.fetchone()
            return (row[1], row[2]) if row else None

    async def reported(self, kind: Status, at: datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_REPORTED, (at, kind.value))
