"""Many rotations in one statement: each is its own, and none waits for, or is lost by, another."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from domain.errors import Unavailable
from infrastructure.tokens.rotating import MOST_AT_ONCE, Rotation, Rotations
from infrastructure.tokens.sessions import PostgresSessions
from tests.support.memory import NOON
from tests.tokens.conftest import ISSUER, REFRESH_LIFE, Ground

SECOND = timedelta(seconds=1)


async def _tokens(ground: Ground, count: int) -> list[str]:
    account = await ground.account()
    return [(await ground.sessions.open(account, "", NOON))[1] for _ in range(count)]


async def test_more_sessions_at_once_than_fit_into_one_statement_each_go_on_by_themselves(
    ground: Ground,
) -> None:
    tokens = await _tokens(ground, MOST_AT_ONCE + 20)
    answers = await asyncio.gather(*(ground.sessions.refresh(token, NOON) for token in tokens))
    assert len({grant.session_id for grant, _ in answers}) == len(tokens)
    assert len({token for _, token in answers}) == len(tokens)
    again = await asyncio.gather(*(ground.sessions.refresh(token, NOON + SECOND) for token in tokens))
    assert [token for _, token in again] == [token for _, token in answers]


async def test_a_session_that_somebody_works_on_holds_up_no_other_and_goes_on_after(ground: Ground) -> None:
    held, free = await _tokens(ground, 2)
    grant, _ = await ground.sessions.refresh(held, NOON)
    _, held = await ground.sessions.refresh(held, NOON)
    async with ground.pool.connection() as connection:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", (grant.session_id,))
            waiting = asyncio.create_task(ground.sessions.refresh(held, NOON))
            assert await ground.sessions.refresh(free, NOON)
            assert not waiting.done()
        assert (await waiting)[0] == grant


async def test_replicas_that_rotate_the_same_sessions_agree_and_deadlock_nobody(ground: Ground) -> None:
    replica = PostgresSessions(ground.pool, ground.keyring, life=REFRESH_LIFE, issuer=ISSUER)
    tokens = await _tokens(ground, 30)
    for _ in range(5):
        ours, theirs = await asyncio.gather(
            asyncio.gather(*(ground.sessions.refresh(token, NOON) for token in tokens)),
            asyncio.gather(*(replica.refresh(token, NOON) for token in reversed(tokens))),
        )
        assert ours == theirs[::-1]
        tokens = [token for _, token in ours]
    await replica.close()


async def test_a_connection_that_has_died_meanwhile_costs_nobody_a_token(ground: Ground) -> None:
    (token,) = await _tokens(ground, 1)
    for number in range(3):
        _, token = await ground.sessions.refresh(token, NOON + number * SECOND)
        await ground.rows(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%unnest%' AND pid <> pg_backend_pid()"""
        )
    assert await ground.sessions.refresh(token, NOON)


async def test_without_a_database_no_rotation_is_made() -> None:
    rotations = Rotations("host=/nonexistent dbname=x")
    step = Rotation(
        session_id=UUID(int=1), shown=b"a", made=b"b", kept=1, at=NOON, until=NOON, network=""
    )  # fmt: skip
    with pytest.raises(Unavailable):
        await rotations.make(step)
    await rotations.close()
