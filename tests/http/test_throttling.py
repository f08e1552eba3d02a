"""Who fails too often waits: over HTTP, behind a trusted proxy, by account and by network."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.conftest import checked_service
from tests.support.service import ADMIN, SECRET, Client

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    """A service behind a proxy on this machine that tells where requests come from."""
    async with checked_service(
        database, MG_USERS_THROTTLE="true", MG_USERS_TRUSTED_PROXIES="127.0.0.1"
    ) as ready:
        yield ready


async def try_to_log_in(client: Client, identity: str, secret: str, address: str = HERE) -> httpx.Response:
    return await client.http.post(
        "/users/tokens/issue",
        json={"identity": identity, "secret": secret},
        headers={"X-Forwarded-For": address},
    )


async def held_up(client: Client, identity: str, address: str = HERE) -> httpx.Response:
    """Fail until an attempt has to wait; that answer."""
    for _ in range(60):
        answer = await try_to_log_in(client, identity, "wrong", address)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 401
    raise AssertionError("nobody was held up")


async def test_after_a_few_failures_the_next_login_waits_and_is_told_how_long(client: Client) -> None:
    user = await client.register()
    answer = await held_up(client, user["email"])
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.json()["code"] == "too_many_attempts"


async def test_the_right_secret_waits_too_so_that_nothing_is_learned(client: Client) -> None:
    user = await client.register()
    await held_up(client, user["email"])
    assert (await try_to_log_in(client, user["email"], SECRET)).status_code == 429


async def test_nobody_locks_another_out_from_elsewhere(client: Client) -> None:
    user = await client.register()
    assert (await try_to_log_in(client, user["email"], SECRET, ELSEWHERE)).status_code == 201
    await held_up(client, user["email"], HERE)
    assert (await try_to_log_in(client, user["email"], SECRET, ELSEWHERE)).status_code == 201


async def test_an_unknown_name_is_held_up_like_a_known_one(client: Client) -> None:
    user = await client.register()
    known = await held_up(client, user["email"])
    unknown = await held_up(client, "nobody@example.com", ELSEWHERE)
    assert known.json()["code"] == unknown.json()["code"]
    assert known.headers["retry-after"] == unknown.headers["retry-after"]


async def test_a_caller_whose_network_is_not_known_is_held_up_by_account_alone(database: str) -> None:
    async with checked_service(database, MG_USERS_THROTTLE="true") as client:
        user, other = await client.register(), await client.register()
        await held_up(client, user["email"])
        assert (await try_to_log_in(client, other["email"], SECRET)).status_code == 201


async def test_an_admin_sees_it_and_lifts_it(client: Client) -> None:
    user = await client.register()
    await held_up(client, user["email"])
    admin = await client.as_admin()
    path = f"/users/{user['id']}/throttle"
    shown = (await client.http.get(path, headers=admin)).json()["throttled"]
    assert {row["scope"] for row in shown} == {"account", "account from a network"}
    assert (await client.http.delete(path, headers=admin)).status_code == 204
    assert (await client.http.get(path, headers=admin)).json() == {"throttled": []}
    assert (await try_to_log_in(client, user["email"], SECRET)).status_code == 201


async def test_only_an_admin_sees_or_lifts_it(client: Client) -> None:
    user = await client.register()
    own = await client.as_user(user["email"])
    path = f"/users/{user['id']}/throttle"
    for method in ("GET", "DELETE"):
        assert (await client.http.request(method, path, headers=own)).status_code == 403
        assert (await client.http.request(method, path)).status_code == 401


async def test_wrong_old_secrets_are_held_up(client: Client) -> None:
    user = await client.register()
    own = await client.as_user(user["email"])
    body = {"old_secret": "wrong", "new_secret": "another good one"}
    answers = [await client.http.patch("/users/secret", json=body, headers=own) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_reset_requests_for_known_and_unknown_emails_are_held_up_alike(client: Client) -> None:
    user = await client.register()
    seen = []
    for email in (user["email"], "nobody@example.com"):
        body = {"email": email}
        answers = [await client.http.post("/password/reset-request", json=body) for _ in range(4)]
        seen.append([answer.status_code for answer in answers])
    assert seen[0] == seen[1] == [201, 201, 201, 429]


async def test_made_up_refresh_tokens_hold_up_their_network_and_no_honest_caller(client: Client) -> None:
    async def refresh(token: str, address: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
        return (await client.http.post("/users/tokens/refresh", headers=headers)).status_code

    tokens = await client.login(**ADMIN)
    assert [await refresh("nonsense", HERE) for _ in range(101)].count(429) == 1
    # One that was made here was never made up by anybody.
    assert await refresh(tokens["refresh_token"], HERE) == 201
    assert await refresh("nonsense", ELSEWHERE) == 401


async def test_a_success_among_failures_keeps_an_honest_user_free(client: Client) -> None:
    user = await client.register()
    for _ in range(4):
        for secret, status in (("wrong", 401), ("wrong", 401), (SECRET, 201)):
            assert (await try_to_log_in(client, user["email"], secret)).status_code == status


async def test_by_its_limits_a_name_does_not_tell_whose_email_it_is(client: Client) -> None:
    user = await client.register()
    await held_up(client, user["credentials"]["username"])
    assert (await try_to_log_in(client, user["email"], "wrong")).status_code == 401


async def test_changes_of_an_email_which_mail_to_strangers_are_limited(client: Client) -> None:
    user = await client.register()
    own = await client.as_user(user["email"])
    path, seen = f"/users/{user['id']}/email", []
    for number in range(12):
        body = {"email": f"stranger{number}@example.com"}
        seen.append((await client.http.patch(path, json=body, headers=own)).status_code)
    assert seen[:10] == [200] * 10
    assert 429 in seen
