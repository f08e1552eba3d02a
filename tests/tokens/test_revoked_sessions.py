"""How a process learns that a single session was ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from application.ports import AccessClaims, Rights
from domain.errors import InvalidToken
from domain.values import Role
from infrastructure.tokens import revocation as module
from infrastructure.tokens.revocation import PostgresRevocations
from tests.support.waiting import eventually
from tests.tokens.conftest import Ground
from tests.tokens.replicas import is_revoked, logged_in, replica, up_to_date

NOW = datetime.now(UTC)
"""Sessions end by the clock of the wall: their tokens are forgotten by it."""

LOCK_NUMBERS = "SELECT pg_advisory_xact_lock(7310580243119871)"
WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
ENDED = """
INSERT INTO revoked_sessions (session_id, user_id, revoked_at, expires_at)
VALUES (%s, %s, now(), now() + interval '15 minutes')"""


async def test_one_ended_session_is_known_to_every_replica_and_the_others_go_on(ground: Ground) -> None:
    ended, kept = await logged_in(ground), await logged_in(ground)
    async with replica(ground.conninfo, ground) as one, replica(ground.conninfo, ground) as other:
        await ground.sessions.revoke(ground.ada, ended.session_id, NOW)
        for each in (one, other):

            async def is_over(each: PostgresRevocations = each) -> bool:
                return await is_revoked(each, ended)

            await eventually(is_over, within=1.0)
            assert await each.check(kept) == Rights(Role.USER, False)
    async with replica(ground.conninfo, ground) as later:
        with pytest.raises(InvalidToken):
            await later.check(ended)


async def test_numbers_of_ended_sessions_are_seen_in_their_order(ground: Ground) -> None:
    first, second = await logged_in(ground), await logged_in(ground, await ground.register("eve"))
    async with replica(ground.conninfo, ground) as revocations:
        async with ground.pool.connection() as slow, slow.transaction():
            await slow.execute(LOCK_NUMBERS)
            later = asyncio.create_task(ground.sessions.revoke(second.user_id, second.session_id, NOW))

            async def waits() -> bool:
                return bool(await ground.rows(WAITING))

            await eventually(waits)
            await slow.execute(ENDED, (first.session_id, first.user_id))
        await later
        numbers = await ground.rows("SELECT session_id FROM revoked_sessions ORDER BY number")
        assert numbers == [(first.session_id,), (second.session_id,)]
        for claims in (first, second):

            async def is_over(claims: AccessClaims = claims) -> bool:
                return await is_revoked(revocations, claims)

            await eventually(is_over, within=1.0)


async def test_a_session_that_a_process_has_ended_itself_is_over_before_the_news_of_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BREATH", 0.2)
    claims = await logged_in(ground)
    async with replica(ground.conninfo, ground) as revocations:
        ground.sessions.when_ended = revocations.doubt
        for _ in range(3):
            await up_to_date(ground, revocations)
            assert await revocations.check(claims) == Rights(Role.USER, False)
            await ground.sessions.revoke(ground.ada, claims.session_id, NOW)
            with pytest.raises(InvalidToken):
                await revocations.check(claims)
            claims = await logged_in(ground)
