"""What a process says of tokens while it has no news."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from application.ports import Rights
from domain import events
from domain.errors import InvalidToken, Unavailable
from domain.values import Role
from infrastructure.accounts.lookup import PostgresAccounts
from infrastructure.tokens import revocation as module
from infrastructure.tokens.revocation import AT_REST, BELIEVED_FOR, PostgresRevocations
from tests.event_store.proxy import Proxy
from tests.support.memory import NOON
from tests.support.waiting import eventually
from tests.tokens.conftest import Ground
from tests.tokens.replicas import Clock, logged_in, replica


async def test_without_news_the_database_is_asked_about_each_token(ground: Ground) -> None:
    claims, clock = await logged_in(ground), Clock()
    async with Proxy(ground.conninfo) as proxy:
        accounts = PostgresAccounts(ground.conninfo, ground.keyring, ground.pool)
        feed = PostgresRevocations(proxy.conninfo, accounts, [], clock=clock)
        feed._ended._connection._conninfo = ground.conninfo
        async with feed:
            assert await feed.check(claims) == Rights(Role.USER, False)
            proxy.mode = "refuse"
            proxy._cut_all()
            await ground.happens(events.Disabled(at=NOON))
            clock.ahead = BELIEVED_FOR
            assert not feed.is_current
            with pytest.raises(InvalidToken):
                await feed.check(claims)
            proxy.mode = "pass"
        await accounts.close()


@pytest.mark.parametrize("outage", ["refuse", "swallow"])
async def test_without_a_database_tokens_are_believed_for_a_second_and_then_nobody_can_say(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, outage: Any
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    claims, clock = await logged_in(ground), Clock()
    async with Proxy(ground.conninfo) as proxy, replica(proxy.conninfo, ground, clock=clock) as feed:
        assert await feed.check(claims) == Rights(Role.USER, False)
        proxy.mode = outage
        proxy._cut_all()
        assert await feed.check(claims) == Rights(Role.USER, False)
        clock.ahead = BELIEVED_FOR
        with pytest.raises(Unavailable):
            await feed.check(claims)
        await ground.happens(events.Disabled(at=NOON))
        proxy.mode = "pass"
        proxy._cut_all()

        async def knows() -> bool:
            return feed.is_current and feed._known.reached == 2

        await eventually(knows)
        with pytest.raises(InvalidToken):
            await feed.check(claims)


async def test_after_a_rest_the_first_token_is_judged_by_the_database(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKS_AT_REST", 600.0)
    claims, clock = await logged_in(ground), Clock()
    async with replica(ground.conninfo, ground, clock=clock) as feed:
        assert await feed.check(claims) == Rights(Role.USER, False)
        clock.ahead = AT_REST + 1

        async def rests() -> bool:
            return not feed.is_current

        # Once more it may be confirmed, and from then on it rests.
        await eventually(rests)
        feed._news.set()
        await eventually(lambda: asyncio.sleep(0, feed.is_current))
        await eventually(rests)
        await ground.happens(events.Disabled(at=NOON))
        with pytest.raises(InvalidToken):
            await feed.check(claims)

        async def knows() -> bool:
            return feed.is_current and feed._known.reached == 2

        await eventually(knows)
