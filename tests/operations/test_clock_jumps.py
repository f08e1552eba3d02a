"""A clock that jumps by an hour or more: what was promised before it holds, and nothing stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from application.limits import Limit
from domain.errors import TooManyAttempts
from infrastructure.accounts.throttle import PostgresThrottle
from infrastructure.nats import position as relays
from infrastructure.postgres import reactors
from infrastructure.postgres.claims import PostgresClaims
from infrastructure.postgres.pool import open_pool
from infrastructure.standing import open_keys
from interfaces.scheduler import TICK, Job, Scheduler, bring_forward
from projections.lease import acquire
from projections.users.projector import Users
from tests.integrity.sealed import checkpointer
from tests.projections.projecting import caught_up, projecting, rows
from tests.support.databases import standing
from tests.support.service import Client, bearer, running_service
from tests.support.writer import Writer

HOUR = timedelta(hours=1)
JUMPS = [-HOUR, 2 * HOUR]


class JumpingClock:
    """The time, and by how much it is wrong."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def client(database: str, clock: JumpingClock) -> AsyncIterator[Client]:
    async with running_service(database, clock=clock) as ready:
        yield ready


async def refreshed(client: Client, token: str) -> httpx.Response:
    return await client.http.post("/users/tokens/refresh", headers=bearer(token))


async def profile(client: Client, token: str) -> httpx.Response:
    return await client.http.get("/users/profile", headers=bearer(token))


@pytest.mark.parametrize("jump", JUMPS, ids=["back", "forward"])
async def test_a_session_goes_on_over_a_jump_and_over_the_way_back(
    client: Client, clock: JumpingClock, jump: timedelta
) -> None:
    account = await client.register()
    refresh_token = (await client.login(account["email"]))["refresh_token"]
    for clock.ahead in (jump, timedelta()):
        answer = await refreshed(client, refresh_token)
        assert answer.status_code == 201, answer.text
        refresh_token = answer.json()["refresh_token"]
        assert (await profile(client, answer.json()["access_token"])).status_code == 200


async def test_an_access_token_from_a_future_is_not_honoured_and_one_refresh_mends_it(
    client: Client, clock: JumpingClock
) -> None:
    account = await client.register()
    clock.ahead = HOUR
    tokens = await client.login(account["email"])
    clock.ahead = timedelta()
    assert (await profile(client, tokens["access_token"])).status_code == 401
    again = (await refreshed(client, tokens["refresh_token"])).json()
    assert (await profile(client, again["access_token"])).status_code == 200


async def test_what_was_ended_before_the_clock_went_back_stays_ended(
    client: Client, clock: JumpingClock
) -> None:
    account = await client.register()
    before = await client.login(account["email"])
    headers = bearer(before["access_token"])
    assert (await profile(client, before["access_token"])).status_code == 200
    changed = await client.http.patch(
        "/users/secret", headers=headers, json={"old_secret": "changeMe123", "new_secret": "changeMe456"}
    )
    assert changed.status_code == 200, changed.text
    clock.ahead = -HOUR
    assert (await profile(client, before["access_token"])).status_code == 401
    assert (await refreshed(client, before["refresh_token"])).status_code == 401
    after = await client.login(account["email"], "changeMe456")
    assert (await profile(client, after["access_token"])).status_code == 200


async def test_a_used_up_refresh_token_is_told_for_stolen_though_its_use_lies_in_the_future(
    client: Client, clock: JumpingClock
) -> None:
    account = await client.register()
    first = (await client.login(account["email"]))["refresh_token"]
    second = (await refreshed(client, first)).json()["refresh_token"]
    clock.ahead = -HOUR
    assert (await refreshed(client, first)).status_code == 401
    assert (await refreshed(client, second)).status_code == 401, "nobody knows which of the two is the thief"


async def test_events_keep_the_order_in_which_they_happened_whatever_the_clock_said(
    client: Client, clock: JumpingClock, database: str
) -> None:
    account = await client.register(first_name="Ada")
    admin = await client.as_admin()
    path = f"/users/{account['id']}"
    for clock.ahead, name in (
        (-HOUR, "Ada the second"),
        (HOUR, "Ada the third"),
        (timedelta(), "Ada the last"),
    ):
        admin = await client.as_admin()
        answer = await client.http.patch(path, headers=admin, json={"first_name": name})
        assert answer.status_code == 200, answer.text
    positions = rows(
        database, f"SELECT position, version FROM events WHERE stream_id = '{account['id']}' ORDER BY 1"
    )
    assert [version for _, version in positions] == [1, 2, 3, 4]
    listed = (await client.http.get("/users?limit=10", headers=admin)).json()["users"]
    assert {user["first_name"] for user in listed if user["id"] == account["id"]} == {"Ada the last"}
    viewed = await client.http.get(path, headers=admin)
    assert viewed.json()["first_name"] == "Ada the last"
    assert viewed.headers["etag"] == '"4"'


async def test_a_pause_of_the_throttle_is_no_longer_for_a_clock_that_went_back(database: str) -> None:
    keys = await asyncio.to_thread(open_keys, standing(database))
    at, held = datetime(2026, 3, 1, 12, tzinfo=UTC), [
        Limit(act="login", scope="account from a network", subject=str(uuid4()), network="192.0.2.0/24")
    ]  # fmt: skip
    async with open_pool(database, 2) as pool:
        throttle = PostgresThrottle(database, keys.keyring, pool)
        try:
            for _ in range(6):
                await throttle.admit(held, at)
                await throttle.count(held, at)
                at += timedelta(seconds=1)
            with pytest.raises(TooManyAttempts):
                await throttle.admit(held, at - timedelta(seconds=0.5))
            await throttle.admit(held, at - HOUR)
            with pytest.raises(TooManyAttempts) as refusal:
                await throttle.admit(held, at - HOUR)
            wait = refusal.value.retry_after
            assert wait is not None
            assert 0 < wait <= 30, "and goes on counting by the time that it is"
        finally:
            await throttle.close()


ONE_HOUR_ON = "now() + interval '1 hour'"
LEASES = {
    "projections": "UPDATE projections SET owner = 'gone', lease_until = {} WHERE name = 'users' RETURNING 1",
    "relays": "INSERT INTO relays (name, owner, lease_until) VALUES ('users', 'gone', {}) RETURNING 1",
    "reactors": "UPDATE reactors SET owner = 'gone', lease_until = {} WHERE name = 'mails' RETURNING 1",
}


@pytest.mark.parametrize("table", list(LEASES))
@pytest.mark.parametrize(
    ("until", "taken"), [(ONE_HOUR_ON, True), ("now() + interval '4 s'", False)], ids=["back", "not at all"]
)
async def test_a_lease_that_the_clock_of_the_database_left_behind_holds_up_no_stand_by(
    database: str, table: str, until: str, taken: bool
) -> None:
    rows(database, LEASES[table].format(until))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        taking: dict[str, Callable[[], Awaitable[object]]] = {
            "projections": lambda: acquire(connection, Users(), 1, "next"),
            "relays": lambda: relays.acquire(connection, "users", "next"),
            "reactors": lambda: reactors.acquire(connection, "mails", "next", 5),
        }
        assert (await taking[table]() is not None) == taken


async def test_a_projector_goes_on_when_the_clock_of_the_database_was_put_back(database: str) -> None:
    async with Writer(database) as writer, projecting(writer):
        await writer.register(2)
        await caught_up(database)
        # To a clock that was put back by an hour, all that was noted by then lies so far ahead.
        rows(
            database,
            f"UPDATE projections SET lease_until = {ONE_HOUR_ON}, advanced_at = {ONE_HOUR_ON} RETURNING 1",
        )
        await writer.register(2)
        await caught_up(database)


@pytest.mark.parametrize(
    ("begun", "due"),
    [("now() + interval '1 hour'", True), ("now() + interval '3 s'", False), ("now()", False)],
    ids=["an hour ahead", "by somebody who was quicker", "just now"],
)
async def test_regular_work_that_has_begun_in_a_future_is_due(database: str, begun: str, due: bool) -> None:
    rows(database, f"INSERT INTO schedule (name, begun_at) VALUES ('work', {begun}) RETURNING 1")
    async with open_pool(database, 1) as pool:
        assert await PostgresClaims(pool).claim("work", timedelta(minutes=5)) == due


async def test_ticks_do_not_stay_away_until_it_is_as_late_as_it_was(database: str) -> None:
    async def nothing() -> str:
        return ""

    async with open_pool(database, 1) as pool:
        jobs = [Job("often", timedelta(seconds=5), nothing), Job("seldom", timedelta(days=1), nothing)]
        ticking = Scheduler(jobs, PostgresClaims(pool)).ticking()
        ticking.start(paused=True)
        try:
            now = datetime.now(UTC)
            bring_forward(ticking, now)
            assert all(job.next_run_time > now for job in ticking.get_jobs()), "what is in time is left alone"
            bring_forward(ticking, now - HOUR)
            assert all(job.next_run_time == now - HOUR for job in ticking.get_jobs())
            assert 2 * TICK < HOUR
        finally:
            ticking.shutdown(wait=False)


async def test_checkpoints_go_on_behind_one_of_the_future(database: str, tmp_path: Path) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, tmp_path / "checkpoints.jws")
        takes._interval = HOUR / 2
        await writer.register()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("infrastructure.integrity.checkpointer.datetime", _AnHourOn)
            assert await takes.step()
        await writer.register()
        made = await takes.step()
        assert made is not None
        assert made.checkpoint.number == 2
        await writer.register()
        assert await takes.step() is None, "and then at their interval"


class _AnHourOn(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + HOUR
