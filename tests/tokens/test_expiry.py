"""What has had its time is deleted in bounded batches, and nothing else."""

from __future__ import annotations

import itertools
from datetime import timedelta

import psycopg
import pytest

from infrastructure.clock import SystemClock
from infrastructure.postgres.claims import PostgresClaims
from infrastructure.postgres.expiry import SECONDS, Expiring, delete_expired, expiring, expiry_jobs
from interfaces.scheduler import Scheduler
from tests.support.memory import NOON
from tests.tokens.conftest import Ground

RETENTION = timedelta(days=90)
TABLES = {what.table: what for what in expiring(RETENTION)}

FILL = {
    "sessions": """INSERT INTO sessions
            (id, user_id, epoch, token_hash, nonce, created_at, rotated_at, expires_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 1, '', '', %(at)s, %(at)s, %(at)s""",
    "revoked_sessions": """INSERT INTO revoked_sessions (session_id, user_id, revoked_at, expires_at)
        SELECT gen_random_uuid(), gen_random_uuid(), %(at)s, %(at)s""",
    "idempotency_keys": """INSERT INTO idempotency_keys
        SELECT uuid_send(gen_random_uuid()), '', 200, 1, gen_random_uuid(), %(at)s""",
    "security_log": "INSERT INTO security_log (at, kind) SELECT %(at)s, 'login'",
}


def fill(ground: Ground, what: Expiring, rows: int, *, old: bool) -> None:
    """Rows that have just had their time, or have a second left."""
    at = NOON - what.kept + timedelta(seconds=0 if old else 1)
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        statement = f"{FILL[what.table]} FROM generate_series(1, {rows})"
        connection.execute(statement.encode(), {"at": at})


async def left(ground: Ground, what: Expiring) -> int:
    ((count,),) = await ground.rows(f"SELECT count(*) FROM {what.table}")
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("table", TABLES)
async def test_all_that_has_had_its_time_goes_batch_by_batch_and_the_rest_stays(
    ground: Ground, table: str
) -> None:
    what = TABLES[table]
    fill(ground, what, 25, old=True)
    fill(ground, what, 3, old=False)
    assert await delete_expired(ground.pool, what, NOON, batch=10) == 25
    assert await left(ground, what) == 3
    assert await delete_expired(ground.pool, what, NOON, batch=10) == 0


async def test_a_turn_ends_when_its_time_is_over_and_the_next_goes_on(ground: Ground) -> None:
    what = TABLES["security_log"]
    fill(ground, what, 50, old=True)
    clock = itertools.chain([0.0, 0.0, 1.0, SECONDS])
    assert await delete_expired(ground.pool, what, NOON, batch=10, elapsed=lambda: next(clock)) == 20
    assert await delete_expired(ground.pool, what, NOON, batch=10) == 30


async def test_rows_that_somebody_holds_are_left_to_them(ground: Ground) -> None:
    what = TABLES["sessions"]
    fill(ground, what, 4, old=True)
    async with ground.pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM sessions LIMIT 1 FOR UPDATE")
        assert await delete_expired(ground.pool, what, NOON) == 3
    assert await delete_expired(ground.pool, what, NOON) == 1


async def test_one_job_for_each_table_is_done_once_over_all_replicas(ground: Ground) -> None:
    for what in TABLES.values():
        fill(ground, what, 5, old=True)
    jobs = expiry_jobs(ground.pool, SystemClock(), RETENTION)
    replicas = [Scheduler(jobs, PostgresClaims(ground.pool)) for _ in range(2)]
    for job in jobs:
        await replicas[0].turn(job)
    assert [await left(ground, what) for what in TABLES.values()] == [0] * len(TABLES)
    for what in TABLES.values():
        fill(ground, what, 5, old=True)
    for job in jobs:
        await replicas[1].turn(job)
    assert [await left(ground, what) for what in TABLES.values()] == [5] * len(TABLES)


@pytest.mark.parametrize("table", TABLES)
async def test_what_has_had_its_time_is_found_by_an_index(ground: Ground, table: str) -> None:
    what = TABLES[table]
    plan = await ground.rows(
        f"""EXPLAIN SELECT {what.key} FROM {what.table}
        WHERE {what.time} <= now() ORDER BY {what.time} LIMIT 10"""
    )
    assert "Index Scan" in str(plan) or "Bitmap" in str(plan)
