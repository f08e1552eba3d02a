"""Listing and ending sessions: one's own only, for good, and told to every process."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from application.ports import SessionGrant
from domain import events
from domain.errors import InvalidToken
from infrastructure.tokens.rotation import GRACE
from infrastructure.tokens.sessions import SPARE, PostgresSessions
from tests.support.memory import NOON
from tests.tokens.conftest import ACCESS_LIFE, ISSUER, REFRESH_LIFE, Ground

SECOND = timedelta(seconds=1)


async def _open(ground: Ground, user_id: UUID | None = None, **more: Any) -> tuple[SessionGrant, str]:
    account = await ground.accounts.of(user_id or ground.ada)
    assert account is not None
    return await ground.sessions.open(account, "a browser", NOON, **more)


async def _ended(ground: Ground) -> list[tuple[Any, ...]]:
    return await ground.rows("SELECT session_id, user_id, expires_at FROM revoked_sessions ORDER BY number")


async def _noted(ground: Ground) -> list[tuple[Any, ...]]:
    return await ground.rows(
        "SELECT kind, user_id, session_id, network, detail FROM security_log ORDER BY number"
    )


async def test_a_session_is_listed_with_its_first_and_last_use_and_where_they_came_from(
    ground: Ground,
) -> None:
    grant, token = await _open(ground, user_agent="curl/8", network="192.0.2.0/24")
    await ground.sessions.refresh(token, NOON + SECOND, network="198.51.100.0/24")
    (session,) = await ground.sessions.of(ground.ada, NOON + SECOND)
    assert (session.id, session.description, session.user_agent) == (grant.session_id, "a browser", "curl/8")
    assert (session.created_at, session.last_used_at) == (NOON, NOON + SECOND)
    assert (session.opened_from, session.network) == ("192.0.2.0/24", "198.51.100.0/24")


async def test_the_session_that_was_used_last_is_listed_first_and_those_of_others_are_not(
    ground: Ground,
) -> None:
    bob = await ground.register("bob")
    await _open(ground, bob)
    first, token = await _open(ground)
    second, _ = await _open(ground)
    await ground.sessions.refresh(token, NOON + SECOND)
    listed = await ground.sessions.of(ground.ada, NOON + SECOND)
    assert [session.id for session in listed] == [first.session_id, second.session_id]


async def test_a_session_that_has_expired_or_lost_its_epoch_is_not_listed(ground: Ground) -> None:
    await _open(ground)
    assert await ground.sessions.of(ground.ada, NOON + REFRESH_LIFE) == []
    await ground.happens(events.SecretChanged(at=NOON))
    assert await ground.sessions.of(ground.ada, NOON) == []


async def test_a_revoked_session_is_refused_at_once_and_every_process_is_told(ground: Ground) -> None:
    (grant, token), (_, other) = await _open(ground), await _open(ground)
    await ground.sessions.revoke(ground.ada, grant.session_id, NOON, network="192.0.2.0/24")
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(token, NOON)
    assert await ground.sessions.refresh(other, NOON)
    assert await _ended(ground) == [(grant.session_id, ground.ada, NOON + ACCESS_LIFE + SPARE)]
    assert await _noted(ground) == [
        ("session_revoked", ground.ada, grant.session_id, "192.0.2.0/24", "")
    ]  # fmt: skip


async def test_ending_an_unknown_session_or_one_twice_does_nothing(ground: Ground) -> None:
    grant, _ = await _open(ground)
    await ground.sessions.revoke(ground.ada, uuid4(), NOON)
    assert await _ended(ground) == []
    for _ in range(2):
        await ground.sessions.revoke(ground.ada, grant.session_id, NOON)
    assert len(await _ended(ground)) == len(await _noted(ground)) == 1


async def test_nobody_ends_the_session_of_somebody_else(ground: Ground) -> None:
    bob = await ground.register("bob")
    grant, token = await _open(ground)
    await ground.sessions.revoke(bob, grant.session_id, NOON)
    assert await ground.sessions.refresh(token, NOON)
    assert await _ended(ground) == await _noted(ground) == []


async def test_all_sessions_of_a_user_end_but_the_one_that_is_kept(ground: Ground) -> None:
    bob = await ground.register("bob")
    opened = [await _open(ground) for _ in range(3)]
    _, bobs = await _open(ground, bob)
    kept, token = opened[0]
    await ground.sessions.revoke_all(ground.ada, NOON, keep=kept.session_id, by=kept.session_id)
    assert {row[0] for row in await _ended(ground)} == {grant.session_id for grant, _ in opened[1:]}
    assert await _noted(ground) == [("all_sessions_revoked", ground.ada, kept.session_id, "", "2")]
    await ground.sessions.refresh(token, NOON)
    await ground.sessions.revoke_all(ground.ada, NOON)
    assert await ground.sessions.of(ground.ada, NOON) == []
    assert await ground.sessions.refresh(bobs, NOON)


async def test_a_theft_ends_the_family_and_is_noted_and_told_in_one_transaction(ground: Ground) -> None:
    grant, token = await _open(ground)
    await ground.sessions.refresh(token, NOON)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(token, NOON + GRACE + SECOND, network="203.0.113.0/24")
    assert await ground.sessions.of(ground.ada, NOON) == []
    assert [row[0] for row in await _ended(ground)] == [grant.session_id]
    assert await _noted(ground) == [
        ("refresh_reused", ground.ada, grant.session_id, "203.0.113.0/24", "")
    ]  # fmt: skip
    transactions = await ground.rows(
        "SELECT xmin::text FROM security_log UNION SELECT xmin::text FROM revoked_sessions"
    )
    assert len(transactions) == 1


async def test_32_shows_of_a_stolen_token_end_its_session_once(ground: Ground) -> None:
    _, token = await _open(ground)
    await ground.sessions.refresh(token, NOON)
    late = NOON + GRACE + SECOND
    shown = await asyncio.gather(
        *(ground.sessions.refresh(token, late) for _ in range(32)), return_exceptions=True
    )
    assert all(isinstance(answer, InvalidToken) for answer in shown)
    assert len(await _noted(ground)) == len(await _ended(ground)) == 1


async def test_numbers_of_ended_sessions_become_visible_in_their_order(ground: Ground) -> None:
    """Whoever follows them by number would else pass one over that commits late."""
    (first, _), (second, _) = await _open(ground), await _open(ground)
    async with await psycopg.AsyncConnection.connect(ground.conninfo) as slow:
        statement = b"SELECT end_sessions(%s, %s, NULL, NULL, now(), now(), 'session_revoked', '')"
        bob = await ground.register("bob")
        bobs, _ = await _open(ground, bob)
        await slow.execute(statement, (ground.ada, first.session_id))
        faster = asyncio.create_task(ground.sessions.revoke(bob, bobs.session_id, NOON))
        waiting = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while (await ground.rows(waiting.decode()))[0][0] == 0:
            assert not faster.done()
        assert await _ended(ground) == []
        await slow.commit()
        await faster
    ended = [row[0] for row in await _ended(ground)]
    assert ended == [first.session_id, bobs.session_id]
    assert second.session_id not in ended


async def test_ending_sessions_while_the_account_changes_deadlocks_nobody(ground: Ground) -> None:
    for number in range(10):
        opened = [(await _open(ground))[0].session_id for _ in range(4)]
        await asyncio.gather(
            ground.happens(events.SecretChanged(at=NOON)),
            ground.sessions.revoke_all(ground.ada, NOON + number * SECOND),
            *(ground.sessions.revoke(ground.ada, session_id, NOON) for session_id in opened),
        )
        assert await ground.rows("SELECT id FROM sessions") == []


async def test_a_login_that_meets_a_change_under_way_waits_for_it_and_opens_nothing(ground: Ground) -> None:
    account = await ground.account()
    async with await psycopg.AsyncConnection.connect(ground.conninfo) as change:
        await change.execute("UPDATE credentials SET epoch = epoch + 1 WHERE user_id = %s", (ground.ada,))
        login = asyncio.create_task(ground.sessions.open(account, "", NOON))
        while not await ground.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert not login.done()
        await change.commit()
    with pytest.raises(Exception, match="do not match an enabled account"):
        await login
    assert await ground.rows("SELECT id FROM sessions") == []


async def test_a_replica_that_lost_the_race_with_a_revocation_refuses(ground: Ground) -> None:
    grant, token = await _open(ground)
    replica = PostgresSessions(ground.pool, ground.keyring, life=REFRESH_LIFE, issuer=ISSUER)
    answers = await asyncio.gather(
        *(replica.refresh(token, NOON) for _ in range(8)),
        ground.sessions.revoke(ground.ada, grant.session_id, NOON),
        return_exceptions=True,
    )
    successors = {answer[1] for answer in answers[:-1] if isinstance(answer, tuple)}
    assert len(successors) <= 1
    for shown in (*successors, token):
        with pytest.raises(InvalidToken):
            await replica.refresh(shown, NOON)
    await replica.close()


async def test_to_ask_whether_a_session_lives_uses_no_token_up_and_ends_nothing(ground: Ground) -> None:
    grant, token = await _open(ground)
    for _ in range(2):
        living = await ground.sessions.living(token, NOON)
        assert living is not None
        assert (living.user_id, living.session_id) == (ground.ada, grant.session_id)
        assert living.expires_at == NOON + REFRESH_LIFE
    _, successor = await ground.sessions.refresh(token, NOON)
    assert await ground.sessions.living(token, NOON + GRACE)
    for dead in (token, "x", token[:-4] + "AAAA"):
        assert await ground.sessions.living(dead, NOON + GRACE + SECOND) is None
    assert await ground.sessions.living(successor, NOON + GRACE + SECOND)
    assert await ground.sessions.living(successor, NOON + REFRESH_LIFE) is None
    assert await ground.sessions.refresh(successor, NOON + GRACE + SECOND)
    await ground.sessions.revoke(ground.ada, grant.session_id, NOON)
    assert await ground.sessions.living(successor, NOON) is None
