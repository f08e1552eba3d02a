"""The security log: written in batches beside the requests, so that no login is slower or faster for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.cancelling import heed_cancellation
from application.outages import Outage
from application.security import SecurityEntry, SecurityFact
from domain.errors import Unavailable
from infrastructure.postgres.complaints import cause

MOST_WAITING = 10_000
"""How many facts wait at most while the database cannot be reached; later ones are counted and lost."""

BATCH = 500
GATHER = 0.05
"""Seconds in which facts gather before a batch is written; with the process as many die unwritten."""

PATIENCE = 2.0
"""Seconds for which a reader waits for what this process has yet to write, and a shutdown too."""

# Nothing is noted of a user who is forgotten by the time it is written.
_WRITE = """
INSERT INTO security_log (at, user_id, kind, session_id, network, detail)
SELECT f.at, f.user_id, f.kind, f.session_id, f.network, f.detail
FROM unnest(%s::timestamptz[], %s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[])
     WITH ORDINALITY AS f (at, user_id, kind, session_id, network, detail, place)
WHERE NOT EXISTS (SELECT 1 FROM user_keys k WHERE k.user_id = f.user_id AND k.wrapped IS NULL)
ORDER BY f.place"""

_PAGE = """
SELECT number, at, kind, user_id, session_id, network, detail FROM security_log
WHERE user_id = %(user)s AND number < %(before)s ORDER BY number DESC LIMIT %(limit)s"""

_BEYOND = 2**63 - 1

log = logging.getLogger("usersd.security_log")


class PostgresSecurityLog:
    """Implements the port SecurityLog. What is recorded is written while it is entered."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._waiting: deque[SecurityFact] = deque()
        self._filled = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(log, "the security log is not written, and what comes waits")
        self.lost = 0

    async def __aenter__(self) -> PostgresSecurityLog:
        self._task = asyncio.create_task(self._run(), name="security log")
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.flushed()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._waiting:
            log.warning("%d facts of the security log could not be written and are lost", len(self._waiting))

    async def record(self, fact: SecurityFact) -> None:
        if len(self._waiting) >= MOST_WAITING:
            if self.lost == 0:
                log.warning(
                    "the security log cannot be written and %d facts wait; what comes now is lost",
                    MOST_WAITING,
                )
            self.lost += 1
            return
        self._waiting.append(fact)
        self._written.clear()
        self._filled.set()

    async def page(self, user_id: UUID, limit: int, before: int | None) -> Sequence[SecurityEntry]:
        # Whoever has just failed to log in and looks finds it.
        await self.flushed()
        values = {"user": user_id, "limit": limit, "before": _BEYOND if before is None else before}
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=class_row(SecurityEntry))
                return await (await cursor.execute(_PAGE, values)).fetchall()
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None

    async def flushed(self) -> bool:
        """Whether all that was recorded is written, now or within a bounded time."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._written.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        while True:
            heed_cancellation()
            await self._filled.wait()
            await asyncio.sleep(GATHER)
            batch = list(islice(self._waiting, BATCH))
            try:
                await self._write(batch)
                self._outage.is_over()
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                self._outage.goes_on(cause(error))
                await asyncio.sleep(1)
                continue
            except psycopg.Error as error:
                log.error("%d facts of the security log are lost (%s)", len(batch), type(error).__name__)
            self._done(len(batch))

    async def _write(self, batch: Sequence[SecurityFact]) -> None:
        columns = [
            [getattr(fact, name) for fact in batch]
            for name in ("at", "user_id", "kind", "session_id", "network", "detail")
        ]
        async with self._pool.connection() as connection:
            await connection.execute(_WRITE, columns)

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        if not self._waiting:
            self._filled.clear()
            self._written.set()
            if self.lost:
                log.warning("the security log is written again; %d facts were lost meanwhile", self.lost)
                self.lost = 0
