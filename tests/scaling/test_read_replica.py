"""A standby answers lists where it may, and nobody sees less than they were promised."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from infrastructure.postgres import replica as replicas
from infrastructure.postgres.replica import Replica
from infrastructure.reads import fresh
from infrastructure.reads.directory import PostgresDirectory
from tests.http.answers import accepted, check
from tests.scaling.conftest import Pair
from tests.support.databases import ROOT_KEY
from tests.support.service import SECRET, Client, running_service
from tests.support.waiting import eventually

POSITION = "Usersd-Position"


@asynccontextmanager
async def service(pair: Pair, *, replica: str = "", lists: bool = True) -> AsyncIterator[Client]:
    async with running_service(
        pair.primary.conninfo,
        replica=replica or pair.standby.conninfo,
        MG_USERS_DB_HOST="primary",
        MG_USERS_DB_REPLICA_HOST="standby",
        MG_USERS_DB_REPLICA_LISTS=str(lists).lower(),
        MG_USERS_ROOT_KEY=ROOT_KEY.hex(),
    ) as client:
        client.http.event_hooks["response"].append(check)
        yield client


def replica_of(client: Client) -> Replica:
    directory = client.service.bus.ports.directory
    assert isinstance(directory, PostgresDirectory)
    assert directory.replica is not None
    return directory.replica


async def register(client: Client) -> tuple[dict[str, Any], int]:
    """Somebody whom no other test has registered, and the position that this reached."""
    name = f"a{uuid4().hex}"
    account = client.account(
        email=f"{name}@example.com", credentials={"username": name[:20], "secret": SECRET}
    )
    answer = await client.http.post("/users", json=account)
    return accepted(answer, 201), int(answer.headers[POSITION])


async def listed(
    client: Client, headers: dict[str, str], user: dict[str, Any], **more: str
) -> tuple[bool, int]:
    """Whether a list shows somebody, and up to which position it holds the log."""
    answer = await client.http.get(f"/users?email={user['email']}", headers=headers | more)
    return accepted(answer)["total"] == 1, int(answer.headers[POSITION])


async def answered_by_the_standby(client: Client, headers: dict[str, str], **more: str) -> int:
    """Ask until it has caught up and answers; the position that its answer holds."""
    before, held = replica_of(client).standing().answered, 0

    async def asked() -> bool:
        nonlocal held
        answer = await client.http.get("/users?limit=1", headers=headers | more)
        held = int(answer.headers[POSITION])
        return replica_of(client).standing().answered > before

    await eventually(asked)
    return held


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == "usersd.replica"]


async def test_who_asks_for_a_position_may_be_answered_by_the_standby(pair: Pair) -> None:
    async with service(pair, lists=False) as client:
        admin = await client.as_admin()
        user, position = await register(client)
        plain = await client.http.get("/users", headers=admin)
        assert POSITION not in plain.headers
        assert replica_of(client).standing().answered == 0

        assert await answered_by_the_standby(client, admin, **{POSITION: str(position)}) >= position
        shown, held = await listed(client, admin, user, **{POSITION: str(position)})
        assert shown
        assert held >= position
        for path in (
            f"/users/{user['id']}/history",
            f"/users/search?username={user['credentials']['username']}",
        ):
            answer = await client.http.get(path, headers=admin | {POSITION: str(position)})
            assert accepted(answer)["total"] == 1
            assert int(answer.headers[POSITION]) >= position


@pytest.mark.parametrize("carried", [True, False], ids=["position asked", "no position asked"])
async def test_while_the_standby_lags_the_primary_answers(pair: Pair, carried: bool) -> None:
    async with service(pair) as client:
        admin = await client.as_admin()
        await answered_by_the_standby(client, admin)
        pair.pause()
        try:
            user, position = await register(client)
            before = replica_of(client).standing()
            started = time.monotonic()
            more = {POSITION: str(position)} if carried else {}
            shown, held = await listed(client, admin, user, **more)
            assert shown
            assert held >= position
            assert time.monotonic() - started < 10
            after = replica_of(client).standing()
            assert (after.answered, after.passed_on, after.up) == (
                before.answered,
                before.passed_on + 1,
                True,
            )
        finally:
            pair.go_on()
        await answered_by_the_standby(client, admin)


async def test_a_position_that_the_standby_has_is_answered_by_it_however_far_it_lags(pair: Pair) -> None:
    async with service(pair) as client:
        await client.as_admin()
        reader = await client.as_user((await register(client))[0]["email"])
        admin = await client.as_admin()
        position = await answered_by_the_standby(client, admin)
        pair.pause()
        try:
            user, _ = await register(client)
            before = replica_of(client).standing().answered
            found = await client.http.get(
                f"/users/search?username={user['credentials']['username']}",
                headers=reader | {POSITION: str(position)},
            )
            assert accepted(found)["total"] == 0
            assert replica_of(client).standing().answered == before + 1
        finally:
            pair.go_on()


async def test_nobody_is_shown_less_than_before_though_they_ask_for_less(pair: Pair) -> None:
    async with service(pair) as client:
        admin = await client.as_admin()
        early = await answered_by_the_standby(client, admin)
        pair.pause()
        try:
            user, position = await register(client)
            assert await listed(client, admin, user) == (True, position)
            shown, held = await listed(client, admin, user, **{POSITION: str(early)})
            assert shown
            assert held >= position
        finally:
            pair.go_on()


async def test_a_feed_comes_from_the_standby_and_lacks_nothing_while_it_lags(pair: Pair) -> None:
    async with service(pair) as client:
        admin = await client.as_admin()
        await answered_by_the_standby(client, admin)
        before = replica_of(client).standing().answered

        async def fed() -> bool:
            await client.http.get("/users/feed", headers=admin)
            return replica_of(client).standing().answered > before

        await eventually(fed)
        pair.pause()
        try:
            user, _ = await register(client)
            assert user["id"] in (await client.http.get("/users/feed", headers=admin)).text
        finally:
            pair.go_on()


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
async def test_a_standby_that_is_away_is_left_alone_with_one_line(
    pair: Pair, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replicas, "PATIENCE", 0.5)
    monkeypatch.setattr(replicas, "LEFT_ALONE", 60.0)
    async with service(pair) as client:
        admin = await client.as_admin()
        await answered_by_the_standby(client, admin)
        caplog.set_level(logging.INFO, logger="usersd.replica")
        pair.standby.stop() if fault == "stopped" else pair.standby.freeze()
        user, _ = await register(client)
        for _ in range(5):
            assert (await listed(client, admin, user))[0]
        standing = replica_of(client).standing()
        assert (standing.up, standing.passed_on >= 5) == (False, True)
        assert said(caplog) == ["WARNING"]
        pair.standby.start() if fault == "stopped" else pair.standby.thaw()
        monkeypatch.setattr(replica_of(client), "_ask_again", 0.0)
        monkeypatch.setattr(replicas, "LEFT_ALONE", 0.1)
        monkeypatch.setattr(replicas, "PATIENCE", 5.0)
        await answered_by_the_standby(client, admin)
        assert said(caplog) == ["WARNING", "INFO"]


async def test_another_database_is_never_taken_for_the_standby(
    pair: Pair, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with service(pair, replica=database) as client:
        admin = await client.as_admin()
        user, _ = await register(client)
        assert (await listed(client, admin, user))[0]
        assert not replica_of(client).standing().up
    assert "another database" in caplog.text


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "99999999999999999999", "4, 5"])
async def test_what_is_no_position_is_refused(client: Client, value: str) -> None:
    answer = await client.http.get("/users", headers=await client.as_admin() | {POSITION: value})
    assert answer.status_code == 400


async def test_a_position_that_is_not_reached_in_time_is_never_answered_with_less(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "REACHED_WITHIN", 0.2)
    async with running_service(database, project=False) as client:
        client.http.event_hooks["response"].append(check)
        admin = await client.as_admin()
        head = await client.service.bus.ports.log.head()
        answer = await client.http.get("/users", headers=admin | {POSITION: str(head)})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        answer = await client.http.get("/users", headers=admin | {POSITION: str(head + 1)})
        assert answer.status_code == 400
        assert "beyond the end of the log" in answer.text
        assert accepted(await client.http.get("/users", headers=admin))["total"] == 0
