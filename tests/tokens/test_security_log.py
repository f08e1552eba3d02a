"""The security log: written beside the requests, readable per user, bounded, and kept for a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from psycopg_pool import AsyncConnectionPool

from application.security import SecurityFact
from domain.errors import Unavailable
from infrastructure.accounts import security_log
from infrastructure.accounts.security_log import MOST_WAITING, PostgresSecurityLog
from tests.support.memory import NOON
from tests.tokens.conftest import Ground


@pytest.fixture
async def log(ground: Ground) -> AsyncIterator[PostgresSecurityLog]:
    async with PostgresSecurityLog(ground.pool) as made:
        yield made


def fact(user_id: UUID | None, **more: Any) -> SecurityFact:
    return replace(SecurityFact(kind="login", at=NOON, user_id=user_id), **more)


async def test_a_fact_is_read_as_it_was_recorded(log: PostgresSecurityLog, ground: Ground) -> None:
    session = uuid4()
    told = fact(ground.ada, session_id=session, network="192.0.2.0/24", detail="x", kind="login_failed")
    await log.record(told)
    (entry,) = await log.page(ground.ada, 10, None)
    assert (entry.kind, entry.at, entry.user_id) == ("login_failed", NOON, ground.ada)
    assert (entry.session_id, entry.network, entry.detail) == (session, "192.0.2.0/24", "x")


async def test_pages_go_from_new_to_old_and_hold_one_user_alone(
    log: PostgresSecurityLog, ground: Ground
) -> None:
    bob = uuid4()
    for number in range(1200):
        await log.record(fact(ground.ada if number % 2 else bob, detail=str(number)))
    first = await log.page(ground.ada, 3, None)
    assert [entry.detail for entry in first] == ["1199", "1197", "1195"]
    second = await log.page(ground.ada, 3, first[-1].number)
    assert [entry.detail for entry in second] == ["1193", "1191", "1189"]
    assert await log.page(ground.ada, 3, 1) == []
    assert await log.page(uuid4(), 3, None) == []


async def test_what_nobody_did_is_kept_without_a_name(log: PostgresSecurityLog, ground: Ground) -> None:
    await log.record(fact(None, kind="login_failed", detail="unknown name"))
    assert await log.flushed()
    assert await ground.rows("SELECT kind, user_id, detail FROM security_log") == [
        ("login_failed", None, "unknown name")
    ]


async def test_nothing_is_written_of_a_user_who_is_forgotten(
    log: PostgresSecurityLog, ground: Ground
) -> None:
    await ground.rows("UPDATE user_keys SET wrapped = NULL RETURNING user_id")
    await log.record(fact(ground.ada))
    await log.record(fact(None))
    assert await log.flushed()
    assert await ground.rows("SELECT user_id FROM security_log") == [(None,)]


async def test_what_waits_is_written_at_the_end(ground: Ground) -> None:
    async with PostgresSecurityLog(ground.pool) as log:
        for _ in range(1300):
            await log.record(fact(ground.ada))
    assert await ground.rows("SELECT count(*) FROM security_log") == [(1300,)]


async def test_without_a_database_facts_wait_up_to_a_bound_and_the_rest_is_counted_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(security_log, "PATIENCE", 0.05)
    nowhere: AsyncConnectionPool[Any] = AsyncConnectionPool(
        "host=/nonexistent dbname=x", min_size=0, max_size=1, timeout=0.2, open=False
    )
    with caplog.at_level(logging.WARNING, "usersd.security_log"):
        async with nowhere, PostgresSecurityLog(nowhere) as log:
            async with asyncio.timeout(5):
                for _ in range(MOST_WAITING + 500):
                    await log.record(fact(None))
            assert log.lost == 500
            with pytest.raises(Unavailable):
                await log.page(uuid4(), 1, None)
    said = [record.getMessage() for record in caplog.records]
    assert sum("what comes now is lost" in line for line in said) == 1
    assert any(f"{MOST_WAITING} facts of the security log could not be written" in line for line in said)


async def test_a_page_is_found_by_an_index_at_any_depth(log: PostgresSecurityLog, ground: Ground) -> None:
    async with ground.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO security_log (at, user_id, kind)
            SELECT now(), CASE WHEN n %% 100 = 0 THEN %(user)s::uuid END, 'login'
            FROM generate_series(1, 20000) n""",
            {"user": ground.ada},
        )
        await connection.execute("ANALYZE security_log")
    plan = await ground.rows(
        f"""EXPLAIN SELECT number FROM security_log
        WHERE user_id = '{ground.ada}' AND number < 10000 ORDER BY number DESC LIMIT 10"""
    )
    text = "\n".join(str(line) for (line,) in plan)
    assert "security_log_by_user" in text
    assert "Sort" not in text


async def test_recording_does_not_wait_for_the_database(log: PostgresSecurityLog, ground: Ground) -> None:
    async with ground.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE security_log")
        async with asyncio.timeout(timedelta(seconds=1).total_seconds()):
            for _ in range(100):
                await log.record(fact(ground.ada))
    assert await log.flushed()
    assert len(await log.page(ground.ada, 1000, None)) == 100
