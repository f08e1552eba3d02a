"""Refresh tokens: rotation, honest races, theft, and what ends a session."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from psycopg_pool import AsyncConnectionPool

from domain import events
from domain.errors import InvalidToken, Unavailable, WrongCredentials
from domain.events import Event
from domain.values import Role
from infrastructure.tokens.rotation import GRACE
from infrastructure.tokens.sessions import PostgresSessions
from tests.support.memory import NOON
from tests.tokens.conftest import ISSUER, REFRESH_LIFE, Ground
from tests.tokens.dying_refresh import STEPS

SECOND = timedelta(seconds=1)


async def _open(ground: Ground) -> str:
    _, token = await ground.sessions.open(await ground.account(), "a browser", NOON)
    return token


def _inside(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def test_a_session_goes_on_through_rotations(ground: Ground) -> None:
    grant, token = await ground.sessions.open(await ground.account(), "a browser", NOON)
    seen = {token}
    for minute in range(1, 6):
        again, token = await ground.sessions.refresh(token, NOON + timedelta(minutes=minute))
        assert again == grant
        seen.add(token)
    assert len(seen) == 6
    assert grant.user_id == ground.ada


async def test_only_a_hash_of_a_token_is_stored(ground: Ground) -> None:
    token = await _open(ground)
    _, successor = await ground.sessions.refresh(token, NOON)
    ((row,),) = await ground.rows("SELECT s::text FROM sessions s")
    ((current, previous),) = await ground.rows("SELECT token_hash, used_hashes[1] FROM sessions")
    for shown in (token, successor):
        assert shown not in str(row)
    assert current == hashlib.sha256(successor.encode()).digest()
    assert previous == hashlib.sha256(token.encode()).digest()


async def test_a_refresh_token_looks_as_old_clients_expect(ground: Ground) -> None:
    claims = _inside(await _open(ground))
    assert (claims["iss"], claims["sub"], claims["type"], claims["role"]) == (ISSUER, str(ground.ada), 1, 1)
    assert claims["exp"] - claims["iat"] == REFRESH_LIFE.total_seconds()
    UUID(claims["jti"])


async def test_parallel_refreshes_of_one_token_all_get_the_same_successor(ground: Ground) -> None:
    token = await _open(ground)
    at = [NOON + number * 0.9 * SECOND for number in range(32)]
    answers = await asyncio.gather(*(ground.sessions.refresh(token, moment) for moment in at))
    assert len({successor for _, successor in answers}) == 1
    successor = answers[0][1]
    assert await ground.sessions.refresh(successor, NOON + GRACE)


async def test_within_the_grace_every_replica_makes_the_same_successor_even_with_another_life(
    ground: Ground,
) -> None:
    token = await _open(ground)
    replica = PostgresSessions(ground.pool, ground.keyring, life=REFRESH_LIFE * 2, issuer=ISSUER)
    _, successor = await ground.sessions.refresh(token, NOON)
    _, same = await replica.refresh(token, NOON + SECOND)
    assert same == successor
    await replica.close()


async def test_a_used_up_token_yields_its_successor_until_the_grace_is_over(ground: Ground) -> None:
    token = await _open(ground)
    _, successor = await ground.sessions.refresh(token, NOON)
    assert (await ground.sessions.refresh(token, NOON + GRACE))[1] == successor


async def test_a_used_up_token_after_the_grace_ends_the_session_for_whoever_holds_it(ground: Ground) -> None:
    token = await _open(ground)
    _, successor = await ground.sessions.refresh(token, NOON)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(token, NOON + GRACE + SECOND)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(successor, NOON + GRACE + SECOND)
    assert await ground.rows("SELECT id FROM sessions") == []


async def test_a_caller_several_rotations_behind_gets_the_valid_token(
    ground: Ground,
) -> None:
    token = await _open(ground)
    late = [token]
    for number in range(4):
        _, token = await ground.sessions.refresh(token, NOON + number * SECOND)
        late.append(token)
    for number, shown in enumerate(late[:-1]):
        assert (await ground.sessions.refresh(shown, NOON + number * SECOND + GRACE))[1] == token
    assert (await ground.sessions.refresh(token, NOON + GRACE))[1] not in late


async def test_a_token_of_two_rotations_ago_has_no_longer_a_grace_than_its_own(ground: Ground) -> None:
    token = await _open(ground)
    _, second = await ground.sessions.refresh(token, NOON)
    _, third = await ground.sessions.refresh(second, NOON + GRACE)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(token, NOON + GRACE + SECOND)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(third, NOON + GRACE + SECOND)


async def test_the_end_of_one_session_leaves_the_others(ground: Ground) -> None:
    stolen, other = await _open(ground), await _open(ground)
    await ground.sessions.refresh(stolen, NOON)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(stolen, NOON + GRACE + SECOND)
    assert await ground.sessions.refresh(other, NOON + GRACE + SECOND)


@pytest.mark.parametrize(
    "event",
    [
        events.Disabled(at=NOON),
        events.Deleted(at=NOON),
        events.SecretChanged(at=NOON),
        events.EmailChanged(at=NOON, email="new@example.com"),
    ],
    ids=lambda event: event.stored_name,
)
async def test_what_ends_every_session_refuses_every_refresh(ground: Ground, event: Event) -> None:
    token = await _open(ground)
    _, successor = await ground.sessions.refresh(token, NOON)
    await ground.happens(event)
    for shown in (successor, token):
        with pytest.raises(InvalidToken):
            await ground.sessions.refresh(shown, NOON + SECOND)


async def test_an_account_that_is_enabled_again_has_no_old_sessions(ground: Ground) -> None:
    token = await _open(ground)
    await ground.happens(events.Disabled(at=NOON), events.Enabled(at=NOON))
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(token, NOON)
    assert await ground.sessions.refresh(await _open(ground), NOON)


async def test_what_ends_no_session_leaves_them(ground: Ground) -> None:
    token = await _open(ground)
    await ground.happens(
        events.TagsChanged(at=NOON, tags=["x"]), events.RoleChanged(at=NOON, role=Role.ADMIN)
    )
    assert await ground.sessions.refresh(token, NOON)


@pytest.mark.parametrize("event", [events.SecretChanged(at=NOON), events.Disabled(at=NOON)])
async def test_a_login_that_was_overtaken_opens_no_session(ground: Ground, event: Event) -> None:
    overtaken = await ground.account()
    await ground.happens(event)
    with pytest.raises(WrongCredentials):
        await ground.sessions.open(overtaken, "", NOON)
    assert await ground.rows("SELECT id FROM sessions") == []


async def test_a_session_that_nobody_goes_on_with_ends(ground: Ground) -> None:
    token = await _open(ground)
    assert (await ground.sessions.refresh(token, NOON + REFRESH_LIFE - SECOND))[1]
    late = await _open(ground)
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(late, NOON + REFRESH_LIFE)


async def test_a_clock_that_runs_behind_that_of_another_replica_refuses_nobody(ground: Ground) -> None:
    token = await _open(ground)
    _, successor = await ground.sessions.refresh(token, NOON - 3 * SECOND)
    assert await ground.sessions.refresh(successor, NOON - 6 * SECOND)


def _forge(
    token: str, key: bytes | str, algorithm: str = "HS512", typ: str = "rt+jwt", **changes: Any
) -> str:
    return jwt.encode(_inside(token) | changes, key, algorithm, {"typ": typ})


async def test_forged_refresh_tokens_are_refused_and_end_nothing(ground: Ground) -> None:
    token = await _open(ground)
    own = ground.sessions._tokens._key
    forgeries = [
        "",
        "x",
        "a.b.c",
        token + "x",
        token[:-4] + "AAAA",
        _forge(token, b"k" * 64),
        _forge(token, "", "none"),
        _forge(token, own, "HS256"),
        _forge(token, own, typ="at+jwt"),
        _forge(token, own, type=0),
        _forge(token, own, iss="somebody else"),
        _forge(token, own, jti="not a session"),
        _forge(token, own, jti=str(uuid4())),
        _forge(token, own, padding="x" * 5000),
    ]
    for forged in forgeries:
        with pytest.raises(InvalidToken):
            await ground.sessions.refresh(forged, NOON)
    assert await ground.sessions.refresh(token, NOON)


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_kill_at_any_step_of_a_rotation_the_token_still_leads_on(
    ground: Ground, step: str
) -> None:
    token = await _open(ground)
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tokens.dying_refresh", ground.conninfo, token, step,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert await dying.wait() == -signal.SIGKILL
    _, successor = await ground.sessions.refresh(token, NOON + GRACE)
    assert await ground.sessions.refresh(successor, NOON + GRACE)


async def test_a_truncated_or_lengthened_refresh_token_is_refused_and_ends_nothing(ground: Ground) -> None:
    token = await _open(ground)
    for length in (*range(0, len(token), 7), len(token) - 1):
        for end in ("", ".", "="):
            with pytest.raises(InvalidToken):
                await ground.sessions.refresh(token[:length] + end, NOON)
    for longer in (token + "A", token + "=", token + ".", token + " "):
        with pytest.raises(InvalidToken):
            await ground.sessions.refresh(longer, NOON)
    assert await ground.sessions.refresh(token, NOON)


async def test_another_spelling_of_a_signature_is_refused_and_ends_nothing(ground: Ground) -> None:
    token = await _open(ground)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in letters.replace(token[-1], ""):
        with pytest.raises(InvalidToken):
            await ground.sessions.refresh(token[:-1] + letter, NOON)
    assert await ground.sessions.refresh(token, NOON)


async def test_the_refresh_token_of_another_session_or_user_goes_on_with_its_own_alone(
    ground: Ground,
) -> None:
    """Even signed by us, what says another session than it was made for is nobody's token."""
    bob = await ground.accounts.of(await ground.register("bob"))
    assert bob is not None
    token = await _open(ground)
    grant, bobs = await ground.sessions.open(bob, "", NOON)
    claims = _inside(bobs)
    swapped = _forge(token, ground.sessions._tokens._key, jti=claims["jti"], sub=claims["sub"])
    with pytest.raises(InvalidToken):
        await ground.sessions.refresh(swapped, NOON)
    assert (await ground.sessions.refresh(token, NOON))[0].user_id == ground.ada
    assert grant.user_id == bob.user_id


async def test_without_a_database_sessions_are_unavailable(ground: Ground) -> None:
    token = await _open(ground)
    account = await ground.account()
    nowhere: AsyncConnectionPool[Any] = AsyncConnectionPool(
        "host=/nonexistent dbname=x", min_size=0, max_size=1, timeout=0.2, open=False
    )
    async with nowhere:
        away = PostgresSessions(nowhere, ground.keyring, life=REFRESH_LIFE, issuer=ISSUER)
        with pytest.raises(Unavailable):
            await away.open(account, "", NOON)
        with pytest.raises(Unavailable):
            await away.refresh(token, NOON)
        await away.close()
