"""What holds of tokens and sessions, whoever issues them: we, or a remote Auth service over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from domain import events
from domain.errors import InvalidToken, WrongCredentials
from domain.values import Role
from tests.tokens.conftest import Ground
from tests.tokens.issuers import ISSUERS, Issuer, issuer, now

A_DAY = timedelta(days=1, minutes=1)


@pytest.fixture(params=ISSUERS)
async def issues(request: pytest.FixtureRequest, ground: Ground) -> AsyncIterator[Issuer]:
    async with issuer(ground, request.param) as made:
        yield made


async def test_a_login_gives_an_access_token_of_the_user_under_the_present_epoch(issues: Issuer) -> None:
    account = await issues.account()
    claims = await issues.claims((await issues.login(account)).access)
    assert (claims.user_id, claims.epoch, claims.kind) == (account.user_id, account.epoch, "access")
    assert account.honours(claims)
    assert claims.expires_at > now().timestamp()


async def test_an_access_token_expires(issues: Issuer) -> None:
    pair = await issues.login()
    with pytest.raises(InvalidToken):
        await issues.claims(pair.access, A_DAY)
    await issues.claims(pair.access)


async def test_a_refresh_gives_a_pair_that_holds(issues: Issuer) -> None:
    pair = await issues.login()
    for _ in range(3):
        pair = await issues.refreshed(pair.refresh)
        assert (await issues.account()).honours(await issues.claims(pair.access))


async def test_kinds_of_tokens_are_not_interchangeable(issues: Issuer) -> None:
    pair = await issues.login()
    with pytest.raises(InvalidToken):
        await issues.claims(pair.refresh)
    with pytest.raises(InvalidToken):
        await issues.refreshed(pair.access)


async def test_what_nobody_issued_is_no_token(issues: Issuer) -> None:
    for token in ("", "x", "a.b.c", "é.é.é", "x" * 5000, "pat_", "pat_made-up"):
        with pytest.raises(InvalidToken):
            await issues.claims(token)
        with pytest.raises(InvalidToken):
            await issues.refreshed(token)
        assert await issues.sessions.living(token, now()) is None
        assert not issues.sessions.made_here(token)


async def test_a_token_whose_signature_was_changed_is_none(issues: Issuer) -> None:
    pair = await issues.login()
    for token in (pair.access, pair.refresh):
        head, body, signature = token.split(".")
        forged = f"{head}.{body}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"
        with pytest.raises(InvalidToken):
            await issues.claims(forged)
        with pytest.raises(InvalidToken):
            await issues.refreshed(forged)


@pytest.mark.parametrize(
    "event",
    [events.SecretChanged, events.ErasureRequested],
    ids=lambda event: event.__name__,
)
async def test_what_ends_every_session_refuses_every_token_from_before(
    issues: Issuer, event: type[events.Event]
) -> None:
    pair = await issues.login()
    before = await issues.claims(pair.access)
    await issues.ground.happens(event(at=now()))
    assert not (await issues.account()).honours(before)
    with pytest.raises(InvalidToken):
        await issues.refreshed(pair.refresh)
    assert await issues.sessions.living(pair.refresh, now()) is None


async def test_tokens_from_after_a_new_secret_hold_at_once(issues: Issuer) -> None:
    for _ in range(2):
        await issues.ground.happens(events.SecretChanged(at=now()))
        pair = await issues.login()
        account = await issues.account()
        assert account.honours(await issues.claims(pair.access))
        again = await issues.refreshed(pair.refresh)
        assert account.honours(await issues.claims(again.access))


async def test_tokens_from_before_a_disabling_stay_dead_when_the_user_is_back(issues: Issuer) -> None:
    pair = await issues.login()
    before = await issues.claims(pair.access)
    await issues.ground.happens(events.Disabled(at=now()), events.Enabled(at=now()))
    assert not (await issues.account()).honours(before)
    with pytest.raises(InvalidToken):
        await issues.refreshed(pair.refresh)


async def test_a_login_that_was_overtaken_by_a_new_secret_opens_nothing(issues: Issuer) -> None:
    checked = await issues.account()
    await issues.ground.happens(events.SecretChanged(at=now()))
    with pytest.raises(WrongCredentials):
        await issues.login(checked)
    assert await issues.sessions.of(checked.user_id, now()) == []


async def test_a_shut_account_opens_nothing(issues: Issuer) -> None:
    await issues.ground.happens(events.Disabled(at=now()))
    with pytest.raises(WrongCredentials):
        await issues.login()


async def test_sessions_are_listed_by_the_ids_that_refresh_tokens_carry(issues: Issuer) -> None:
    pairs = [await issues.login(description=f"device {number}") for number in range(3)]
    listed = await issues.sessions.of(issues.ground.ada, now())
    assert {session.id for session in listed} == {pair.session for pair in pairs}
    assert {session.description for session in listed} == {"device 0", "device 1", "device 2"}
    assert await issues.sessions.of(uuid4(), now()) == []


async def test_a_revoked_session_does_not_go_on_and_the_others_do(issues: Issuer) -> None:
    ended, left = await issues.login(), await issues.login()
    await issues.sessions.revoke(issues.ground.ada, ended.session, now())
    with pytest.raises(InvalidToken):
        await issues.refreshed(ended.refresh)
    await issues.refreshed(left.refresh)


async def test_nobody_ends_another_users_session(issues: Issuer) -> None:
    pair = await issues.login()
    bob = await issues.ground.register("bob", Role.USER)
    await issues.sessions.revoke(bob, pair.session, now())
    await issues.sessions.revoke(issues.ground.ada, uuid4(), now())
    await issues.sessions.revoke_all(bob, now())
    await issues.refreshed(pair.refresh)


async def test_all_sessions_but_one_are_revoked(issues: Issuer) -> None:
    kept, *ended = [await issues.login() for _ in range(3)]
    await issues.sessions.revoke_all(issues.ground.ada, now(), keep=kept.session)
    for pair in ended:
        with pytest.raises(InvalidToken):
            await issues.refreshed(pair.refresh)
    await issues.refreshed(kept.refresh)


async def test_looking_at_a_refresh_token_does_not_use_it_up(issues: Issuer) -> None:
    pair = await issues.login()
    living = await issues.sessions.living(pair.refresh, now())
    assert living is not None
    assert (living.user_id, living.session_id) == (issues.ground.ada, pair.session)
    await issues.refreshed(pair.refresh)
    ended = await issues.login()
    await issues.sessions.revoke(issues.ground.ada, ended.session, now())
    assert await issues.sessions.living(ended.refresh, now()) is None


async def test_what_is_ended_stands_in_the_security_log(issues: Issuer) -> None:
    for _ in range(2):
        await issues.login()
    one = await issues.login()
    await issues.sessions.revoke(issues.ground.ada, one.session, now(), network="192.0.2.0/24")
    await issues.sessions.revoke_all(issues.ground.ada, now())
    rows = await issues.ground.rows("SELECT kind, network, detail FROM security_log ORDER BY number")
    assert rows == [("session_revoked", "192.0.2.0/24", ""), ("all_sessions_revoked", "", "2")]
