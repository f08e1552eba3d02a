"""Deletes what has had its time: regular work, in batches small enough to be in nobody's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import LiteralString

import msgspec
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from application.ports import Clock
from interfaces.scheduler import Job

BATCH = 5_000
SECONDS = 10.0
"""For how long one turn deletes; the next turn goes on."""

EVERY = timedelta(minutes=5)

# Rows that somebody is using, or another replica is deleting, are left to them.
_DELETE: LiteralString = """
DELETE FROM {table} WHERE {key} IN (
    SELECT {key} FROM {table} WHERE {time} <= %s ORDER BY {time} LIMIT %s FOR UPDATE SKIP LOCKED)"""


class Expiring(msgspec.Struct, frozen=True):
    """A table whose rows have had their time once a column is `kept` in the past."""

    table: str
    key: str
    time: str
    kept: timedelta = timedelta()

    @property
    def job(self) -> str:
        return f"delete expired {self.table.replace('_', ' ')}"


def expiring(security_log_retention: timedelta) -> tuple[Expiring, ...]:
    """Every table that is kept small by the clock alone."""
    return (
        Expiring("sessions", "id", "expires_at"),
        Expiring("revoked_sessions", "number", "expires_at"),
        Expiring("idempotency_keys", "digest", "expires_at"),
        Expiring("security_log", "number", "at", security_log_retention),
    )


async def delete_expired(
    pool: AsyncConnectionPool,
    what: Expiring,
    now: datetime,
    *,
    batch: int = BATCH,
    elapsed: Callable[[], float] = time.monotonic,
) -> int:
    """Delete what has had its time, batch by batch, until all is gone or the turn is over; how many rows."""
    statement = SQL(_DELETE).format(
        table=Identifier(what.table), key=Identifier(what.key), time=Identifier(what.time)
    )
    deleted, began = 0, elapsed()
    while elapsed() - began < SECONDS:
        async with pool.connection() as connection:
            gone = (await connection.execute(statement, (now - what.kept, batch))).rowcount
        deleted += gone
        if gone < batch:
            break
    return deleted


def expiry_jobs(pool: AsyncConnectionPool, clock: Clock, security_log_retention: timedelta) -> list[Job]:
    """One job for each table."""
    return [_job(pool, clock, what) for what in expiring(security_log_retention)]


def _job(pool: AsyncConnectionPool, clock: Clock, what: Expiring) -> Job:
    async def run() -> str:
        deleted = await delete_expired(pool, what, clock.now())
        return f"{deleted} rows" if deleted else ""

    return Job(what.job, EVERY, run)
