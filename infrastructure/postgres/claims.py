"""Decides which replica does a piece of regular work: whoever writes its row first, once per interval."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

# A beginning that lies far ahead is one of a clock that was put back since; a moment ahead lies that of
# somebody who asks at the same time.
_CLAIM = """
INSERT INTO schedule AS s (name, begun_at) VALUES (%(name)s, now())
ON CONFLICT (name) DO UPDATE SET begun_at = excluded.begun_at
WHERE s.begun_at <= excluded.begun_at - %(every)s OR s.begun_at > excluded.begun_at + %(every)s"""

_FINISH = "UPDATE schedule SET done_at = now() WHERE name = %s"

_GIVE_BACK = "UPDATE schedule SET begun_at = '-infinity' WHERE name = %s"

EARLY = 0.9
"""Share of the interval after which the next turn may be claimed: ticks of several replicas drift."""


class PostgresClaims:
    """Implements the scheduler's claims."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def claim(self, name: str, every: timedelta) -> bool:
        """Whether this process may begin the work now. False where the database cannot say."""
        try:
            async with self._pool.connection() as connection:
                claimed = await connection.execute(_CLAIM, {"name": name, "every": every * EARLY})
                return claimed.rowcount == 1
        except (psycopg.OperationalError, PoolTimeout):
            return False

    async def finish(self, name: str) -> None:
        """Note that the work was done now; where the database cannot, the next turn that is done is noted."""
        await self._note(_FINISH, name)

    async def give_back(self, name: str) -> None:
        """Let the next tick of any replica try again, because the work was not done."""
        await self._note(_GIVE_BACK, name)

    async def _note(self, statement: LiteralString, name: str) -> None:
        with contextlib.suppress(psycopg.OperationalError, PoolTimeout):
            async with self._pool.connection() as connection:
                await connection.execute(statement, (name,))
