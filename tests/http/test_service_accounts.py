"""Programs of the platform: introspection, revocation, metadata, and what a scope lets them read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from application.clients import ClientRevoked, ClientSecret, UnknownClient
from infrastructure.accounts.clients import PostgresClientAdministration
from tests.http.conftest import Cast
from tests.support.service import SECRET, Client, bearer
from tests.support.waiting import eventually


@pytest.fixture
def client(cast: Cast) -> Client:
    """The service that the tests of this file share."""
    return cast.client


@pytest.fixture
def administration(client: Client) -> PostgresClientAdministration:
    return PostgresClientAdministration(client.service.pool.conninfo, lambda: datetime.now(UTC))


def basic(account: ClientSecret, secret: str | None = None) -> dict[str, str]:
    shown = base64.b64encode(f"{account.id}:{secret or account.secret}".encode()).decode()
    return {"Authorization": f"Basic {shown}"}


async def introspect(client: Client, account: ClientSecret, token: str) -> dict[str, Any]:
    answer = await client.http.post("/oauth/introspect", data={"token": token}, headers=basic(account))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


async def test_both_tokens_of_a_user_are_active_and_tell_whose_they_are(
    client: Client, administration: PostgresClientAdministration
) -> None:
    checker = administration.add("gateway", ["introspect"])
    user = await client.register()
    tokens = await client.login(user["email"])
    access = await introspect(client, checker, tokens["access_token"])
    refresh = await introspect(client, checker, tokens["refresh_token"])
    assert (access["active"], access["token_type"], access["sub"]) == (True, "access_token", user["id"])
    assert (refresh["active"], refresh["token_type"], refresh["sub"]) == (True, "refresh_token", user["id"])
    assert access["sid"] == refresh["sid"]
    assert (access["role"], access["verified"]) == ("user", False)
    # Asking has not used the refresh token up.
    answer = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    assert answer.status_code == 201


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 10_000, "ü"])
async def test_of_what_is_worth_nothing_only_that_is_told(
    client: Client, administration: PostgresClientAdministration, token: str
) -> None:
    checker = administration.add("gateway", ["introspect"])
    assert await introspect(client, checker, token) == {"active": False}


async def test_tokens_are_inactive_at_once_when_the_account_is_disabled(
    client: Client, administration: PostgresClientAdministration
) -> None:
    checker = administration.add("gateway", ["introspect"])
    user = await client.register()
    tokens = await client.login(user["email"])
    await client.http.post(f"/users/{user['id']}/disable", headers=await client.as_admin())
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert await introspect(client, checker, token) == {"active": False}


async def test_only_a_service_account_with_the_scope_may_introspect(
    client: Client, administration: PostgresClientAdministration
) -> None:
    other = administration.add("reader", ["read_users"])
    form = {"token": "x"}
    assert (await client.http.post("/oauth/introspect", data=form)).status_code == 401
    refused = await client.http.post("/oauth/introspect", data=form, headers=basic(other))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    user = await client.register()
    plain = await client.http.post(
        "/oauth/introspect", data=form, headers=await client.as_user(user["email"])
    )
    assert (plain.status_code, plain.json()["error"]) == (401, "invalid_client")
    assert plain.headers["www-authenticate"].startswith("Basic")


async def test_a_wrong_secret_an_unknown_account_and_nonsense_get_one_answer(
    client: Client, administration: PostgresClientAdministration
) -> None:
    account = administration.add("gateway", ["introspect"])
    unknown = ClientSecret(id=uuid4(), name="", scopes=[], secret="x")
    shown = [
        basic(account, "wrong"),
        basic(unknown),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic "},
    ]
    answers = [
        await client.http.post("/oauth/introspect", data={"token": "x"}, headers=headers) for headers in shown
    ]
    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(401, "invalid_client")}
    assert not any("wrong" in answer.text for answer in answers)


async def test_a_rotated_secret_works_through_its_grace_and_a_revoked_account_not_at_all(
    client: Client, administration: PostgresClientAdministration
) -> None:
    account = administration.add("gateway", ["introspect"])
    at = datetime.now(UTC)
    clients = client.service.bus.ports.clients
    rotated = administration.rotate(account.id, timedelta(hours=1))
    assert rotated.secret != account.secret

    async def opens(secret: str, when: datetime = at) -> bool:
        return await clients.authenticate(account.id, secret, when) is not None

    assert await opens(rotated.secret)
    assert await opens(account.secret)
    assert not await opens(account.secret, at + timedelta(hours=2))
    administration.revoke(account.id)

    async def refused() -> bool:
        return not await opens(rotated.secret)

    await eventually(refused, within=2)
    with pytest.raises(ClientRevoked):
        administration.rotate(account.id, timedelta(0))
    with pytest.raises(UnknownClient):
        administration.revoke(uuid4())


async def test_a_service_that_may_read_users_lists_and_views_them_whole(
    client: Client, administration: PostgresClientAdministration
) -> None:
    reader = administration.add("reader", ["read_users"])
    user = await client.register()
    listed = await client.http.get("/users", params={"email": user["email"]}, headers=basic(reader))
    assert [row["id"] for row in listed.json()["users"]] == [user["id"]]
    viewed = await client.http.get(f"/users/{user['id']}", headers=basic(reader))
    assert viewed.json()["email"] == user["email"]
    checker = administration.add("gateway", ["introspect"])
    assert (await client.http.get("/users", headers=basic(checker))).status_code == 403
    changed = await client.http.patch(f"/users/{user['id']}", json={"first_name": "X"}, headers=basic(reader))
    assert changed.status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_whoever_holds_a_token_ends_its_session(client: Client, kind: str) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    answer = await client.http.post("/oauth/revoke", data={"token": tokens[kind]})
    assert (answer.status_code, answer.content) == (200, b"")
    refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    assert refreshed.status_code == 401
    profile = await client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
    assert profile.status_code == 401
    assert (await client.login(user["email"], SECRET))["access_token"]
    again = await client.http.post("/oauth/revoke", data={"token": tokens[kind]})
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"token=a&token=b", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"token=%FF", "application/x-www-form-urlencoded", 400),
        (b"token=" + b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b'{"token":"x"}', "application/json", 415),
    ],
)
async def test_what_is_no_form_with_a_token_is_refused_as_oauth_has_it(
    client: Client, content: bytes, media_type: str, status: int
) -> None:
    answer = await client.http.post("/oauth/revoke", content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


async def test_the_metadata_name_every_endpoint(client: Client) -> None:
    answer = await client.http.get("/.well-known/oauth-authorization-server")
    body = answer.json()
    for endpoint in ("jwks_uri", "introspection_endpoint", "revocation_endpoint"):
        path = httpx.URL(body[endpoint]).path
        assert (await client.http.request("OPTIONS", path)).status_code == 204, path
