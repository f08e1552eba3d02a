"""What is away, and what that does: a 503 with Retry-After to whoever needs it, and nothing to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest

from tests.support.databases import Databases
from tests.support.platform.auth import ACCESS
from tests.support.platform.servers import Killable
from tests.support.platform.world import Platform, platform
from tests.support.service import ADMIN, SECRET, Client, bearer
from tests.support.waiting import eventually

ISSUE = "/users/tokens/issue"


def unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "unavailable"
    assert int(answer.headers["Retry-After"]) >= 1


async def issue(client: Client, email: str) -> httpx.Response:
    return await client.http.post(ISSUE, json={"identity": email, "secret": SECRET})


async def logged_in_at_last(client: Client, email: str) -> None:
    async def logged_in() -> bool:
        return (await issue(client, email)).status_code == 201

    await eventually(logged_in, within=30)


async def test_while_the_auth_service_is_away_only_what_needs_it_is_503(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    headers = bearer(tokens["access_token"])
    await around.auth.server.kill()
    try:
        unavailable(await issue(client, user["email"]))
        unavailable(await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"])))
        unavailable(await client.http.get("/users/tokens/refresh-tokens", headers=headers))
        unavailable(
            await client.http.post("/users/tokens/revoke", headers=headers, json={"token_id": str(uuid4())})
        )
        unavailable(await client.http.get("/users/profile", headers=bearer("pat_one")))
        wrong = await client.http.post(ISSUE, json={"identity": user["email"], "secret": "wrong-wrong"})
        assert wrong.status_code == 401
        assert (await client.http.get("/users/profile", headers=headers)).status_code == 200
        await client.register()
        change = {"old_secret": SECRET, "new_secret": "anotherSecret1"}
        changed = await client.http.patch("/users/secret", headers=headers, json=change)
        assert changed.status_code == 200
    finally:
        await around.auth.server.start()

    async def back() -> bool:
        again = {"identity": user["email"], "secret": "anotherSecret1"}
        return (await client.http.post(ISSUE, json=again)).status_code == 201

    await eventually(back, within=30)


@pytest.mark.parametrize(
    "status",
    ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"],
)
async def test_whatever_goes_wrong_there_is_503_at_a_login(
    client: Client, around: Platform, status: str
) -> None:
    user = await client.register()
    await client.login(user["email"])
    around.auth.status = grpc.StatusCode[status]
    try:
        unavailable(await issue(client, user["email"]))
    finally:
        around.auth.status = None


async def test_an_auth_service_that_does_not_answer_in_time_is_503(databases: Databases) -> None:
    with databases.fresh() as database:
        async with (
            platform() as around,
            around.service(database, MG_AUTH_GRPC_TIMEOUT="300ms") as client,
        ):
            user = await client.register()
            await logged_in_at_last(client, user["email"])
            around.auth.delay = 30
            async with asyncio.timeout(20):
                unavailable(await issue(client, user["email"]))


async def test_keys_are_rotated_and_a_token_of_the_new_one_holds_at_once(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    before = bearer((await client.login(user["email"]))["access_token"])
    assert (await client.http.get("/users/profile", headers=before)).status_code == 200
    around.auth.rotate("second")
    after = bearer((await client.login(user["email"]))["access_token"])
    assert (await client.http.get("/users/profile", headers=after)).status_code == 200
    # The first key was withdrawn, and what it signed with it.
    assert (await client.http.get("/users/profile", headers=before)).status_code == 401


async def test_made_up_keys_cost_one_look_a_second_at_the_most(client: Client, around: Platform) -> None:
    await client.as_admin()
    asked = around.keys_page.asked
    real = around.auth.keys
    around.auth.keys = {"made-up": next(iter(real.values()))}
    tokens = [around.auth.sign(type=ACCESS, sub=str(uuid4()), n=number) for number in range(50)]
    around.auth.keys = real
    answers = await asyncio.gather(
        *(client.http.get("/users/profile", headers=bearer(token)) for token in tokens)
    )
    assert {answer.status_code for answer in answers} == {401}
    assert around.keys_page.asked - asked <= 2


async def test_without_the_keys_a_token_of_an_unknown_one_is_503_and_the_others_hold(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    known = bearer((await client.login(user["email"]))["access_token"])
    around.keys_page.status = 500
    try:
        kept = around.auth.keys
        around.auth.rotate("third")
        unknown = around.auth.sign(type=ACCESS, sub=user["id"])
        around.auth.keys = kept
        unavailable(await client.http.get("/users/profile", headers=bearer(unknown)))
        assert (await client.http.get("/users/profile", headers=known)).status_code == 200
    finally:
        around.keys_page.status = 200


@pytest.fixture
async def lonely(databases: Databases) -> AsyncIterator[tuple[Client, Platform]]:
    """A service that was started while nobody else is there."""
    with databases.fresh() as database:
        async with platform() as around:
            for server in (around.auth.server, around.spicedb.server, around.domains.server):
                await server.kill()
            async with around.service(database) as client:
                yield client, around


async def test_registration_needs_nobody_and_a_login_waits_for_the_policy(
    lonely: tuple[Client, Platform],
) -> None:
    client, around = lonely
    user = await client.register()
    unavailable(await issue(client, user["email"]))
    await around.auth.server.start()

    async def found_again() -> bool:
        unavailable(await issue(client, user["email"]))
        return "Issue" in around.auth.calls

    await eventually(found_again, within=30)
    unavailable(await issue(client, user["email"]))
    await around.spicedb.server.start()
    await logged_in_at_last(client, user["email"])
    assert around.spicedb.of(user["id"]) == {"member"}
    assert (await client.http.post(ISSUE, json=ADMIN)).status_code == 201


async def test_a_clock_that_is_behind_ends_in_503_and_no_session_is_left(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    change = {"old_secret": SECRET, "new_secret": SECRET + "2"}
    await client.http.patch("/users/secret", headers=headers, json=change)
    there = len(around.auth.sessions)
    around.auth.behind = 60
    try:
        login = {"identity": user["email"], "secret": SECRET + "2"}
        unavailable(await client.http.post(ISSUE, json=login))
    finally:
        around.auth.behind = 0
    assert len(around.auth.sessions) == there


class Stranger(grpc.GenericRpcHandler):
    """Answers whatever it is asked with the same bytes."""

    def __init__(self, says: bytes) -> None:
        self._says = says

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        async def answer(_: bytes, __: Any) -> bytes:
            return self._says

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.mark.parametrize("says", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no message", "no text"])
async def test_a_stranger_at_its_address_is_an_outage(client: Client, around: Platform, says: bytes) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    headers, refresh = bearer(tokens["access_token"]), bearer(tokens["refresh_token"])
    await around.auth.server.kill()
    stranger = Killable(lambda server: server.add_generic_rpc_handlers((Stranger(says),)))
    stranger.port = around.auth.server.port
    await stranger.start()
    try:
        unavailable(await issue(client, user["email"]))
        unavailable(await client.http.post("/users/tokens/refresh", headers=refresh))
        unavailable(await client.http.get("/users/tokens/refresh-tokens", headers=headers))
        unavailable(await client.http.get("/users/profile", headers=bearer("pat_one")))
    finally:
        await stranger.kill()
        await around.auth.server.start()
    await logged_in_at_last(client, user["email"])


async def test_a_session_that_the_auth_service_fails_to_end_is_ended_here(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    login = await client.login(user["email"])
    refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(login["refresh_token"]))
    lost = refreshed.json()
    headers = bearer((await client.login(user["email"]))["access_token"])
    session = next(one for one, (owner, _) in around.auth.sessions.items() if owner == user["id"])
    around.auth.status, around.auth.failing = grpc.StatusCode.UNAVAILABLE, "Revoke"

    async def is_over() -> bool:
        access = bearer(lost["access_token"])
        return (await client.http.get("/users/profile", headers=access)).status_code == 401

    try:
        ending = {"token_id": session}
        unavailable(await client.http.post("/users/tokens/revoke", headers=headers, json=ending))
        await eventually(is_over, within=10)
        again = await client.http.post("/users/tokens/refresh", headers=bearer(lost["refresh_token"]))
        assert again.status_code == 401
    finally:
        around.auth.status, around.auth.failing = None, ""
    ended = await client.http.post("/users/tokens/revoke", headers=headers, json=ending)
    assert ended.status_code == 204
    assert session not in around.auth.sessions
