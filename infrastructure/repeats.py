"""What became of commands that came with an Idempotency-Key: found for their repeats, swept when expired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.messages import Receipt, Repeat
from domain.errors import KeyReused
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.reads import PointReads

SWEEP_EVERY = 60.0
"""Seconds between two sweeps of one process."""

BATCH = 1_000

_FIND = """
SELECT r.digest, r.request, r.status, r.expires_at, r.user_id, r.position, e.version
FROM idempotency_keys r JOIN events e USING (position)
WHERE r.digest = ANY(%b::bytea[])"""

_SWEEP = """
DELETE FROM idempotency_keys WHERE digest IN (
    SELECT digest FROM idempotency_keys WHERE expires_at <= %s
    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED)"""

log = logging.getLogger("usersd.repeats")


class Found(msgspec.Struct, frozen=True):
    request: bytes
    status: int
    expires_at: datetime
    user_id: UUID
    position: int
    version: int

    def answer(self, repeat: Repeat, at: datetime) -> Receipt | None:
        """What a repeat is told at a time. Raises KeyReused where it is none."""
        if self.expires_at <= at:
            return None
        if self.request != repeat.request:
            raise KeyReused
        return Receipt(
            user_id=self.user_id, version=self.version, position=self.position, replayed=self.status
        )


class PostgresRepeats:
    """Implements the port Repeats over the rows that the append writes."""

    def __init__(self, conninfo: str, keyring: Keyring, pool: AsyncConnectionPool) -> None:
        self._keyring = keyring
        self._pool = pool
        self._found: PointReads[bytes, Found] = PointReads(conninfo, _FIND, _by_digest)
        self._swept_at = time.monotonic()
        self._sweeping: asyncio.Task[None] | None = None

    def mark(self, caller: UUID | None, key: str, request: Iterable[bytes], status: int) -> Repeat:
        digest, hashed = self._keyring.repeat_digests(caller, key, request)
        return Repeat(digest=digest, request=hashed, status=status)

    async def find(self, repeat: Repeat, at: datetime) -> Receipt | None:
        # Whoever uses keys pays for the sweep, until a scheduler does it for everybody.
        if time.monotonic() - self._swept_at >= SWEEP_EVERY:
            self._swept_at = time.monotonic()
            self._sweeping = asyncio.create_task(self._sweep_all(at), name="sweep of idempotency keys")
        found = await self._found.get(repeat.digest)
        return found.answer(repeat, at) if found else None

    async def sweep(self, limit: int, at: datetime) -> int:
        """Delete up to so many rows that have expired at a time; how many there were.

        Rows that another replica is sweeping, or an append is taking over, are left to them.
        """
        async with self._pool.connection() as connection:
            return (await connection.execute(_SWEEP, (at, limit))).rowcount

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
        await self._found.close()

    async def _sweep_all(self, at: datetime) -> None:
        try:
            while await self.sweep(BATCH, at) == BATCH:
                pass
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("expired idempotency keys were not swept (%s)", type(error).__name__)


def _by_digest(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[bytes, Found]]:
    for digest, request, *rest in rows:
        yield bytes(digest), Found(bytes(request), *rest)
