"""WatchUsers: everything after a position and nothing twice, at the reader's pace, for whoever may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from grpc import StatusCode

from application.ports import Recorded, Unreadable
from domain.errors import Unauthenticated
from interfaces.grpc import watching
from interfaces.grpc.stubs.users.v1.users_pb2 import WatchUsersReq, WatchUsersRes
from interfaces.grpc.watching import Held, Watching
from tests.grpc.changes import PATIENCE, head, told
from tests.grpc.world import World, reason_of, refusal, serving, shown
from tests.support.waiting import eventually


class Watcher:
    """Reads changes, and remembers where it is."""

    def __init__(self, here: World, after: int = 0) -> None:
        self._stub = here.users
        self._shows = here.shows("follow_feed")
        self.position = after
        self.seen: list[tuple[int, str, bytes]] = []

    async def read(self, until: int, most: int = 10_000) -> None:
        """Read until a position is reached, or so many changes were, or few are wanted and there are none."""
        call = self._stub.WatchUsers(WatchUsersReq(after=self.position), metadata=self._shows)
        async with asyncio.timeout(PATIENCE):
            while self.position < until and most:
                answer = await call.read()
                self.take(answer)
                most = most - 1 if answer.HasField("change") or most > 1_000 else 0
        call.cancel()

    def take(self, answer: WatchUsersRes) -> None:
        assert answer.position >= self.position
        self.position = answer.position
        if answer.HasField("change"):
            self.seen.append((answer.position, answer.change.type, answer.change.cloud_event))


async def test_a_watcher_hears_what_has_happened_and_then_what_happens(here: World) -> None:
    user = await here.client.register()
    call = here.users.WatchUsers(WatchUsersReq(after=0), metadata=here.shows("follow_feed"))
    answers = [await call.read()]
    while answers[-1].HasField("change"):
        answers.append(await call.read())
    expected = await told(here)
    assert [(one.position, one.change.type, one.change.cloud_event) for one in answers[:-1]] == expected
    assert answers[-1].position == await head(here)
    await here.client.http.post(f"/users/{user['id']}/disable", headers=await here.client.as_admin())
    change = (await call.read()).change
    assert (change.user_id, change.version, change.type) == (user["id"], 2, "users.disabled.v1")
    assert msgspec.json.decode(change.cloud_event)["data"]["status"] == "disabled"
    call.cancel()


async def test_a_watcher_that_starts_again_misses_nothing_and_hears_nothing_twice(here: World) -> None:
    """Some leave and come back after one answer, some after nine, while others write."""
    begin, done = await head(here), asyncio.Event()

    async def write() -> None:
        for _ in range(8):
            user = await here.client.register()
            headers = await here.client.as_user(user["email"])
            for name in ("Grace", "Edsger"):
                path = f"/users/{user['id']}"
                await here.client.http.patch(path, json={"first_name": name}, headers=headers)

    async def watch(step: int) -> Watcher:
        watcher = Watcher(here, begin)
        while not done.is_set():
            await watcher.read(watcher.position + step, step)
        await watcher.read(await head(here))
        return watcher

    watching_them = [asyncio.create_task(watch(step)) for step in range(1, 10)]
    await asyncio.gather(write(), write())
    done.set()
    expected = await told(here, begin)
    assert len(expected) == 48
    for watcher in await asyncio.gather(*watching_them):
        assert watcher.seen == expected


async def test_a_position_that_the_log_has_not_reached_is_out_of_range(here: World) -> None:
    shows = here.shows("follow_feed")
    for after, code in (
        (await head(here) + 1_000, StatusCode.OUT_OF_RANGE),
        (2**63, StatusCode.INVALID_ARGUMENT),
    ):
        call = here.users.WatchUsers(WatchUsersReq(after=after), metadata=shows)
        assert (await refusal(call.read())).code() is code


async def test_a_watcher_hears_no_more_once_its_account_is_revoked(here: World) -> None:
    account = here.account("follow_feed")
    call = here.users.WatchUsers(WatchUsersReq(after=await head(here)), metadata=shown(account))
    assert not (await call.read()).HasField("change")
    here.administration.revoke(account.id)
    async with asyncio.timeout(PATIENCE):
        error = await refusal(call.read())
    assert error.code() is StatusCode.UNAUTHENTICATED


async def test_a_watcher_that_reads_slowly_hears_nothing_more_once_its_account_is_revoked(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a page."""
    monkeypatch.setattr(watching, "BELIEVED", 0.0)
    asked = 0

    async def still() -> str:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise Unauthenticated
        return "somebody"

    for _ in range(3):
        await here.client.register()
    answers = Watching(here.client.service.changes, "full").watch(WatchUsersReq(), still)
    heard = [await anext(answers), await anext(answers)]
    with pytest.raises(Unauthenticated):
        await anext(answers)
    assert len(heard) == 2


async def test_one_caller_leaves_places_for_others(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_OF_ONE", 2)
    assert watching.MOST_OF_ONE < watching.MOST_WATCHERS
    shows = here.shows("follow_feed")
    calls = [here.users.WatchUsers(WatchUsersReq(), metadata=shows) for _ in range(2)]
    for call in calls:
        await call.read()
    error = await refusal(here.users.WatchUsers(WatchUsersReq(), metadata=shows).read())
    assert (error.code(), reason_of(error)) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
    other = here.users.WatchUsers(WatchUsersReq(), metadata=here.shows("follow_feed"))
    assert (await other.read()).position
    for call in (*calls, other):
        call.cancel()


async def test_only_so_many_watch_at_once(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(here.client) as made:
        monkeypatch.setattr(watching, "MOST_WATCHERS", 1)
        shows = made.shows("follow_feed")
        first = made.users.WatchUsers(WatchUsersReq(), metadata=shows)
        await first.read()
        error = await refusal(made.users.WatchUsers(WatchUsersReq(), metadata=shows).read())
        assert (error.code(), reason_of(error)) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
        first.cancel()

        async def another_one_may() -> bool:
            call = made.users.WatchUsers(WatchUsersReq(), metadata=shows)
            try:
                return bool(await call.read())
            except Exception:
                return False

        await eventually(another_one_may)


async def test_without_personal_data_a_watcher_hears_ids_and_the_names_of_fields(here: World) -> None:
    async with serving(here.client, MG_USERS_EVENTS_PII="none") as made:
        begin = await head(here)
        user = await made.client.register(first_name="Canary")
        call = made.users.WatchUsers(WatchUsersReq(after=begin), metadata=made.shows("follow_feed"))
        answer = await call.read()
        assert answer.change.user_id == user["id"]
        assert b"Canary" not in answer.change.cloud_event
        assert "first_name" in msgspec.json.decode(answer.change.cloud_event)["data"]["changed"]
        call.cancel()


class _OneThatCannotBeRead:
    """A log whose second event is of a newer version."""

    def __init__(self, first: Recorded) -> None:
        self._first = first

    async def head(self) -> int:
        return self._first.position + 1

    async def page(self, after: int, limit: int) -> Sequence[Recorded | Unreadable]:
        first = self._first
        second = Unreadable(
            position=first.position + 1, user_id=first.user_id, version=2, name="x", reason="unknown_event"
        )
        return [first, second]

    async def wait(self, within: float) -> bool:
        return False


async def test_an_event_that_cannot_be_read_ends_the_watch_and_is_never_left_out(here: World) -> None:
    (first, *_) = await here.client.service.changes.page(0, 1)
    assert isinstance(first, Recorded)

    async def still() -> str:
        return "somebody"

    answers: AsyncIterator[WatchUsersRes] = Watching(_OneThatCannotBeRead(first), "full").watch(
        WatchUsersReq(), still
    )
    assert (await anext(answers)).position == 1
    with pytest.raises(Held) as held:
        await anext(answers)
    assert held.value.retry_after == 60
