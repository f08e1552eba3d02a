"""WatchUsers at its reader's pace: nothing is read ahead, and whoever does not read gives up the place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc import StatusCode

from interfaces.grpc import watching
from interfaces.grpc.stubs.users.v1.users_pb2 import WatchUsersReq
from tests.grpc.changes import PATIENCE, head, not_reading, told
from tests.grpc.world import World, reason_of, refusal, serving
from tests.support.waiting import eventually


async def test_a_watcher_that_does_not_read_is_not_read_ahead_for(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    page = type(here.client.service.changes).page

    async def counted(self: Any, after: int, limit: int) -> Any:
        asked.append(after)
        return await page(self, after, limit)

    monkeypatch.setattr(type(here.client.service.changes), "page", counted)
    async with not_reading(here, monkeypatch, here.shows("follow_feed")) as (call, begin):

        async def it_waits() -> bool:
            before = len(asked)
            await here.client.http.get("/livez")
            await asyncio.sleep(0.2)
            return len(asked) == before

        await eventually(it_waits, PATIENCE)
        assert len(asked) < 15
        expected = await told(here, begin)
        for position, _, _ in expected[1:]:
            assert (await call.read()).position == position


async def test_a_watcher_that_does_not_read_loses_its_place_and_goes_on_from_where_it_was(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_WATCHERS", 1)
    async with serving(here.client, MG_USERS_HTTP_SERVER_WRITE_TIMEOUT="500ms") as made:
        shows = made.shows("follow_feed")
        async with not_reading(made, monkeypatch, shows) as (call, begin):

            async def it_has_ended() -> bool:
                return bool(made.lines)

            await eventually(it_has_ended, PATIENCE)
            assert made.lines[0][:2] == ("users.v1.UsersService/WatchUsers", "UNAVAILABLE")
            another = made.users.WatchUsers(WatchUsersReq(after=await head(made)), metadata=shows)
            assert (await another.read()).position == await head(made)
            another.cancel()
            expected = [position for position, _, _ in await told(made, begin)]
            seen = expected[:1]

            async def rest() -> None:
                while True:
                    seen.append((await call.read()).position)

            error = await refusal(rest())
            assert (error.code(), reason_of(error)) == (StatusCode.UNAVAILABLE, "DOES_NOT_READ")
            assert seen == expected[: len(seen)]
            assert len(seen) < len(expected)
