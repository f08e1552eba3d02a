"""A change takes the worth of tokens on every replica within a second, and where it was made at once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from domain.values import Role
from tests.event_store.proxy import Proxy
from tests.http.answers import refused
from tests.support.service import SECRET, Client, bearer, running_service
from tests.support.waiting import eventually

Change = Callable[[Client, str, dict[str, str], dict[str, str]], Awaitable[httpx.Response]]


def _path(user_id: str, rest: str) -> str:
    return f"/users/{user_id}/{rest}"


CHANGES: dict[str, Change] = {
    "disabling": lambda client, user_id, _, admin: client.http.post(_path(user_id, "disable"), headers=admin),
    "a new secret": lambda client, _, other, __: client.http.patch(
        "/users/secret", json={"old_secret": SECRET, "new_secret": f"{SECRET}2"}, headers=other
    ),
    "a new email": lambda client, user_id, other, _: client.http.patch(
        _path(user_id, "email"), json={"email": "new@example.com"}, headers=other
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_on_one_replica_ends_tokens_on_the_other_within_a_second(
    database: str, what: str
) -> None:
    async with running_service(database) as here, running_service(database, project=False) as there:
        user = await here.register(email="ada@example.com")
        admin = await here.as_admin()
        mine, other = await here.as_user("ada@example.com"), await here.as_user("ada@example.com")

        async def is_taken(client: Client) -> bool:
            return (await client.http.get("/users/profile", headers=mine)).status_code == 200

        async def is_refused_there() -> bool:
            return not await is_taken(there)

        assert await is_taken(here)
        assert await is_taken(there)
        answer = await CHANGES[what](here, user["id"], other, admin)
        answered = time.monotonic()
        assert answer.status_code == 200, answer.text
        assert not await is_taken(here)
        await eventually(is_refused_there, within=1.0)
        assert time.monotonic() - answered < 1.0


async def test_a_demotion_on_one_replica_takes_the_rights_on_the_other_within_a_second(
    database: str,
) -> None:
    async with running_service(database) as here, running_service(database, project=False) as there:
        user = await here.register(email="ada@example.com")
        admin = await here.as_admin()
        mine = await here.as_user("ada@example.com")
        path = _path(user["id"], "role")

        async def lists() -> bool:
            return (await there.http.get("/users", headers=mine)).status_code == 200

        async def does_not_list() -> bool:
            return not await lists()

        assert not await lists()
        await here.http.patch(path, json={"role": "admin"}, headers=admin)
        # A promotion ends no token: the one there is has the new rights.
        await eventually(lists, within=1.0)
        await here.http.patch(path, json={"role": "user"}, headers=admin)
        began = time.monotonic()
        await eventually(does_not_list, within=1.0)
        assert time.monotonic() - began < 1.0


async def test_a_login_on_one_replica_is_good_on_the_other_at_once_whatever_came_before(
    database: str,
) -> None:
    async with running_service(database) as here, running_service(database, project=False) as there:
        user = await here.register(email="ada@example.com")
        admin = await here.as_admin()
        for _ in range(5):
            for act in ("disable", "enable"):
                assert (await here.http.post(_path(user["id"], act), headers=admin)).status_code == 200
            tokens = await here.login("ada@example.com")
            answer = await there.http.get("/users/profile", headers=bearer(tokens["access_token"]))
            assert answer.status_code == 200


async def test_without_a_database_a_token_is_believed_for_a_second_and_then_503(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.tokens.revocation.PATIENCE", 0.3)
    async with Proxy(database) as proxy, running_service(proxy.conninfo, project=False) as client:
        await client.register(email="ada@example.com")
        headers = await client.as_user("ada@example.com")
        revocations = client.service.bus.ports.revocations

        async def settled() -> bool:
            return (await client.http.get("/users/profile", headers=headers)).status_code == 200

        await eventually(settled)
        proxy.mode = "refuse"
        proxy._cut_all()
        claims = await client.service.tokens.claims(
            headers["Authorization"].split(" ")[1], client.service.bus.ports.clock.now()
        )
        assert (await revocations.check(claims)).role is Role.USER

        async def nobody_can_say() -> bool:
            answer = await client.http.get("/users/profile", headers=headers)
            return answer.status_code == 503 and answer.json()["code"] == "unavailable"

        await eventually(nobody_can_say, within=5.0)
        answer = await client.http.get("/users/profile", headers=headers)
        refused(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        proxy.mode = "pass"
        await eventually(settled)
