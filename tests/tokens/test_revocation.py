"""How a process learns that tokens have lost their worth, and which it asks the database about."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from application.ports import AccessClaims, Rights
from domain import events
from domain.errors import InvalidToken
from domain.events import Event
from domain.values import Role
from infrastructure.tokens import revocation as module
from infrastructure.tokens.revocation import BELIEVED_FOR, PostgresRevocations, elapsed
from tests.support.memory import NOON
from tests.support.waiting import eventually
from tests.tokens.conftest import Ground
from tests.tokens.replicas import is_revoked, logged_in, replica, up_to_date, without_database


async def test_a_change_is_known_to_every_replica_within_a_second(ground: Ground) -> None:
    claims = await logged_in(ground)
    async with replica(ground.conninfo, ground) as one, replica(ground.conninfo, ground) as other:
        for each in (one, other):
            assert await each.check(claims) == Rights(Role.USER, False)
        began = elapsed()
        await ground.happens(events.RoleChanged(at=NOON, role=Role.ADMIN))
        for each in (one, other):

            async def is_admin(each: PostgresRevocations = each) -> bool:
                return await each.check(claims) == Rights(Role.ADMIN, False)

            await eventually(is_admin, within=1.0)
        assert elapsed() - began < BELIEVED_FOR


async def test_the_database_is_asked_about_a_token_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await logged_in(ground)
    async with replica(ground.conninfo, ground) as revocations:
        assert await revocations.check(claims) == Rights(Role.USER, False)
        await ground.happens(events.Verified(at=NOON))
        await up_to_date(ground, revocations)
        without_database(revocations, monkeypatch)
        assert await revocations.check(claims) == Rights(Role.USER, True)
        await ground.happens(events.SecretChanged(at=NOON))
        await up_to_date(ground, revocations)
        with pytest.raises(InvalidToken):
            await revocations.check(claims)


async def test_what_changed_before_the_start_holds_from_the_start(ground: Ground) -> None:
    revoked = await logged_in(ground)
    await ground.happens(events.SecretChanged(at=NOON))
    async with replica(ground.conninfo, ground) as revocations:
        with pytest.raises(InvalidToken):
            await revocations.check(revoked)


async def test_more_changes_than_a_page_and_than_the_memory_holds_are_all_heard_of(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    for name in ("_NEWS", "_ENDED"):
        monkeypatch.setattr(module, name, getattr(module, name).replace("LIMIT 1000", "LIMIT 3"))
    users = [await ground.register(f"user{number}") for number in range(10)]
    tokens = [await logged_in(ground, user) for user in users]
    kept = await logged_in(ground)
    async with (
        replica(ground.conninfo, ground) as roomy,
        replica(ground.conninfo, ground, max_users=4) as tight,
    ):
        for each in (roomy, tight):
            for claims in tokens:
                assert await each.check(claims) == Rights(Role.USER, False)
            assert await each.check(kept) == Rights(Role.USER, False)
        for user in users:
            command = ground.writer.change(user, events.SecretChanged(at=NOON))
            assert (await ground.appender.append(command)).outcome == "stored"
        for each in (roomy, tight):
            await up_to_date(ground, each)
        assert (len(roomy._known), roomy._known.floor) == (10, 11)
        assert (len(tight._known), tight._known.floor) == (4, 17)
        for each in (roomy, tight):
            for claims in tokens:
                assert await is_revoked(each, claims)
            assert await each.check(kept) == Rights(Role.USER, False)


async def test_the_memory_of_tokens_is_bounded(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS", 2)
    tokens = [await logged_in(ground) for _ in range(4)]
    async with replica(ground.conninfo, ground) as revocations:
        for claims in tokens * 2:
            assert await revocations.check(claims) == Rights(Role.USER, False)
        assert len(revocations._said) == 2


async def test_what_a_process_has_changed_itself_holds_before_the_news_of_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await logged_in(ground)
    monkeypatch.setattr(module, "BREATH", 0.2)
    async with replica(ground.conninfo, ground) as revocations:
        for number in range(3):
            assert await revocations.check(claims) == Rights(Role.USER, False)
            await ground.happens(events.SecretChanged(at=NOON))
            revocations.changed_here(ground.ada, 2 + number)
            with pytest.raises(InvalidToken):
                await revocations.check(claims)
            claims = await logged_in(ground)


async def test_a_database_with_a_shorter_log_is_another_one_and_is_read_anew(ground: Ground) -> None:
    async with replica(ground.conninfo, ground) as revocations:
        await up_to_date(ground, revocations)
        before = revocations._known
        before.reached = 1000

        async def read_anew() -> bool:
            return revocations._known is not before and revocations._known.reached == 1

        await eventually(read_anew)


async def test_a_token_that_was_signed_while_its_epoch_ended_is_worth_nothing(ground: Ground) -> None:
    account = await ground.account()
    grant, _ = await ground.sessions.open(account, "", NOON)
    await ground.happens(events.SecretChanged(at=NOON))
    token = await ground.tokens.access_token(grant, await ground.account(), NOON)
    async with replica(ground.conninfo, ground) as revocations:
        with pytest.raises(InvalidToken):
            await revocations.check(ground.tokens.check_access(token, NOON))


async def test_a_token_of_nobody_is_worth_nothing(ground: Ground) -> None:
    claims = AccessClaims(user_id=uuid4(), session_id=uuid4(), epoch=1, expires_at=0.0)
    async with replica(ground.conninfo, ground) as revocations:
        with pytest.raises(InvalidToken):
            await revocations.check(claims)


@pytest.mark.parametrize("seed", range(3))
async def test_memory_and_database_agree_on_every_token_of_a_random_life(ground: Ground, seed: int) -> None:
    chance = random.Random(seed)
    users = [await ground.register(f"user{number}") for number in range(3)]
    tokens: list[AccessClaims] = []
    changes: list[Callable[[], Event]] = [
        lambda: events.SecretChanged(at=NOON),
        lambda: events.Disabled(at=NOON),
        lambda: events.Enabled(at=NOON),
        lambda: events.Verified(at=NOON),
        lambda: events.RoleChanged(at=NOON, role=chance.choice(list(Role))),
    ]
    async with replica(ground.conninfo, ground, max_users=2) as revocations:
        for _ in range(40):
            user = chance.choice(users)
            if chance.random() < 0.5:
                account = await ground.accounts.of(user)
                assert account is not None
                if account.status.value == "enabled":
                    tokens.append(await logged_in(ground, user))
            else:
                command = ground.writer.change(user, chance.choice(changes)())
                await ground.appender.append(command)
                await up_to_date(ground, revocations)
            for claims in tokens:
                assert await _said(revocations.check, claims) == await _said(revocations._ask, claims)


async def _said(asked: Any, claims: AccessClaims) -> Rights | None:
    try:
        rights: Rights = await asked(claims)
    except InvalidToken:
        return None
    return rights
