"""Who may do what: every route against every kind of caller."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.http.answers import accepted, refused, routes_of
from tests.http.conftest import Cast
from tests.support.service import SECRET, Client, bearer

PUBLIC = {
    ("POST", "/users"),
    ("POST", "/users/tokens/issue"),
    ("POST", "/password/reset-request"),
    ("PUT", "/password/reset"),
    ("GET", "/password/reset"),
    ("POST", "/password/reset"),
    ("GET", "/verify-email"),
    ("POST", "/verify-email"),
    ("GET", "/health"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/keys/.well-known/jwks.json"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("POST", "/oauth/revoke"),
    ("GET", "/metrics"),
}
"""What needs no token; every other route of the application has to ask for one."""

CALLERS = ("anonymous", "user", "other", "admin", "disabled", "outdated")


class Row(NamedTuple):
    """What each caller is answered; `user` is the one whose id is in the path."""

    body: dict[str, Any] | None
    user: int
    other: int
    admin: int
    anonymous: int = 401
    disabled: int = 401
    outdated: int = 401


def for_all(status: int, body: dict[str, Any] | None = None) -> Row:
    return Row(body, status, status, status, status, status, status)


ROUTES: dict[tuple[str, str], Row] = {
    ("POST", "/users"): for_all(201, {"register": "somebody new"}),
    ("GET", "/users"): Row(None, 403, 403, 200),
    ("GET", "/users/search"): Row(None, 200, 200, 200),
    ("GET", "/users/feed"): Row(None, 403, 403, 200),
    ("GET", "/users/profile"): Row(None, 200, 200, 200),
    ("GET", "/users/{user_id}"): Row(None, 200, 200, 200),
    ("GET", "/users/{user_id}/history"): Row(None, 200, 403, 200),
    ("PATCH", "/users/{user_id}"): Row({"first_name": "Eve"}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/username"): Row({"username": "NEW"}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/email"): Row({"email": "NEW@example.com"}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/identity"): Row({"identity": "NEW@example.com"}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/tags"): Row({"tags": ["new"]}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/picture"): Row({"profile_picture": "https://x.example/1.png"}, 200, 403, 200),
    ("PATCH", "/users/{user_id}/role"): Row({"role": "admin"}, 403, 403, 200),
    ("PATCH", "/users/secret"): Row({"old_secret": SECRET, "new_secret": SECRET + "!"}, 200, 200, 200),
    ("POST", "/users/{user_id}/enable"): Row(None, 403, 403, 409),
    ("POST", "/users/{user_id}/disable"): Row(None, 200, 403, 200),
    ("POST", "/users/tokens/issue"): for_all(201, {"identity": "admin@example.com", "secret": "12345678"}),
    ("POST", "/users/tokens/refresh"): for_all(401),
    ("GET", "/users/tokens/refresh-tokens"): Row(None, 200, 200, 200),
    ("POST", "/users/tokens/revoke"): Row({"token_id": str(uuid4())}, 204, 204, 204),
    ("POST", "/users/tokens/revoke-all"): Row(None, 204, 204, 204),
    ("GET", "/users/{user_id}/security-log"): Row(None, 200, 403, 200),
    ("GET", "/users/{user_id}/export"): Row(None, 200, 403, 200),
    ("POST", "/users/bulk"): Row(None, 403, 403, 415),
    ("POST", "/users/send-verification"): Row(None, 200, 200, 200),
    ("POST", "/password/reset-request"): for_all(201, {"email": "nobody@example.com"}),
    ("PUT", "/password/reset"): for_all(400, {"password": SECRET, "confirm_password": SECRET}),
    ("GET", "/password/reset"): for_all(400),
    ("POST", "/password/reset"): for_all(415, {"password": SECRET, "confirm_password": SECRET}),
    ("GET", "/verify-email"): for_all(400),
    ("POST", "/verify-email"): for_all(415, {"token": "x"}),
    ("GET", "/health"): for_all(200),
    ("GET", "/livez"): for_all(200),
    ("GET", "/readyz"): for_all(200),
    ("GET", "/.well-known/jwks.json"): for_all(200),
    ("GET", "/keys/.well-known/jwks.json"): for_all(200),
    ("GET", "/openapi.json"): for_all(200),
    ("GET", "/docs"): for_all(200),
    ("GET", "/docs/{file}"): for_all(200),
    ("GET", "/metrics"): for_all(200),
    ("DELETE", "/users/{user_id}"): Row(None, 204, 403, 204),
    ("GET", "/users/{user_id}/throttle"): Row(None, 403, 403, 200),
    ("DELETE", "/users/{user_id}/throttle"): Row(None, 403, 403, 204),
    ("GET", "/.well-known/oauth-authorization-server"): for_all(200),
    ("POST", "/oauth/introspect"): for_all(401, {"token": "x"}),
    ("POST", "/oauth/revoke"): for_all(415, {"token": "x"}),
}

QUERIES = {"/users/search": "?username=nobody"}
"""What a route cannot do without."""


async def test_the_table_names_every_route_of_the_application(cast: Cast) -> None:
    assert routes_of(cast.client) == set(ROUTES)


async def test_every_route_that_is_not_public_answers_401_without_a_token(cast: Cast) -> None:
    closed = routes_of(cast.client) - PUBLIC
    assert len(closed) >= 10
    for method, path in sorted(closed):
        for target in (path.replace("{user_id}", cast.user["id"]), path.replace("{user_id}", "nobody")):
            answer = await cast.client.http.request(method, target)
            if path.startswith("/oauth/"):
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            else:
                refused(answer, 401, "unauthenticated")


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_answers_every_caller_as_it_should(
    cast: Cast, method: str, path: str, caller: str
) -> None:
    row = ROUTES[method, path]
    user = await cast.client.register()
    headers = await headers_of(cast, caller, user)
    body = cast.client.account() if row.body and "register" in row.body else _anew(row.body)
    target = path.format(user_id=user["id"], file="docs.js") + QUERIES.get(path, "")
    before = await cast.head()
    answer = await cast.client.http.request(method, target, json=body, headers=headers)
    assert answer.status_code == getattr(row, caller), answer.text
    if answer.status_code >= 400:
        assert await cast.head() == before


def _anew(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """The body with a name in it that nobody has yet."""
    if body is None:
        return None
    fresh = f"n{uuid4().hex[:12]}"
    return {
        key: value.replace("NEW", fresh) if isinstance(value, str) else value for key, value in body.items()
    }


async def headers_of(cast: Cast, caller: str, user: dict[str, Any]) -> dict[str, str]:
    client = cast.client
    if caller == "anonymous":
        return {}
    if caller in ("other", "admin"):
        somebody = await client.register()
        if caller == "admin":
            path = f"/users/{somebody['id']}/role"
            accepted(await client.http.patch(path, json={"role": "admin"}, headers=cast.admin))
        return await client.as_user(somebody["email"])
    headers = await client.as_user(user["email"])
    if caller == "disabled":
        accepted(await client.http.post(f"/users/{user['id']}/disable", headers=cast.admin))
    if caller == "outdated":
        change = {"old_secret": SECRET, "new_secret": SECRET + "?"}
        accepted(await client.http.patch("/users/secret", json=change, headers=headers))
    return headers


async def test_a_stranger_sees_the_card_and_the_owner_and_admins_all(cast: Cast) -> None:
    http = cast.client.http
    card = accepted(await http.get(cast.path, headers=cast.other_headers))
    assert not {"email", "tags", "private_metadata", "profile_picture", "updated_by"} & set(card)
    for headers in (cast.user_headers, cast.admin):
        assert accepted(await http.get(cast.path, headers=headers))["email"] == cast.user["email"]


async def test_a_disabled_users_token_stops_at_once_even_while_it_is_in_use(client: Client) -> None:
    user, admin = await client.register(), await client.as_admin()
    tokens = await client.login(user["email"])
    headers, path = bearer(tokens["access_token"]), f"/users/{user['id']}"
    for _ in range(3):
        accepted(await client.http.get("/users/profile", headers=headers))
    accepted(await client.http.post(f"{path}/disable", headers=admin))
    refused(await client.http.get("/users/profile", headers=headers), 401, "invalid_token")
    refused(await client.http.post(f"{path}/enable", headers=headers), 401, "invalid_token")
    again = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    refused(again, 401, "invalid_token")
    accepted(await client.http.post(f"{path}/enable", headers=admin))
    refused(await client.http.get("/users/profile", headers=headers), 401, "invalid_token")
    accepted(await client.http.get("/users/profile", headers=await client.as_user(user["email"])))


async def test_a_change_of_secret_ends_every_session_of_the_user_and_no_others(client: Client) -> None:
    user, other = await client.register(), await client.register()
    sessions = [await client.login(user["email"]) for _ in range(2)]
    others = await client.as_user(other["email"])
    change = {"old_secret": SECRET, "new_secret": SECRET + "9"}
    headers = bearer(sessions[0]["access_token"])
    accepted(await client.http.patch("/users/secret", json=change, headers=headers))
    for tokens in sessions:
        access = await client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
        refused(access, 401, "invalid_token")
        refresh = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
        refused(refresh, 401, "invalid_token")
    accepted(await client.http.get("/users/profile", headers=others))
    old = await client.http.post("/users/tokens/issue", json={"identity": user["email"], "secret": SECRET})
    refused(old, 401, "wrong_credentials")
    await client.login(user["email"], SECRET + "9")


async def test_nobody_becomes_admin_by_asking(cast: Cast, nothing_stored: None) -> None:
    for headers in ({}, cast.user_headers):
        for wish in ({"role": "admin"}, {"status": "disabled"}, {"role": "admin", "status": "disabled"}):
            body = cast.client.account(**wish)
            refused(await cast.client.http.post("/users", json=body, headers=headers), 403, "admin_only")
    answer = await cast.client.http.patch(
        f"{cast.path}/role", json={"role": "admin"}, headers=cast.user_headers
    )
    refused(answer, 403, "admin_only")


async def test_an_admin_may_register_an_admin_and_a_disabled_account(cast: Cast) -> None:
    body = cast.client.account(role="admin", status="disabled")
    created = accepted(await cast.client.http.post("/users", json=body, headers=cast.admin), 201)
    assert (created["role"], created["status"]) == ("admin", "disabled")


async def test_rights_follow_the_account_and_not_the_token(client: Client) -> None:
    admin, user = await client.as_admin(), await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}/role"
    refused(await client.http.get("/users", headers=headers), 403, "admin_only")
    accepted(await client.http.patch(path, json={"role": "admin"}, headers=admin))
    accepted(await client.http.get("/users", headers=headers))
    accepted(await client.http.patch(path, json={"role": "user"}, headers=admin))
    refused(await client.http.get("/users", headers=headers), 401, "invalid_token")
    again = await client.as_user(user["email"])
    refused(await client.http.get("/users", headers=again), 403, "admin_only")


async def test_what_is_open_stays_open_with_a_token_that_is_none(cast: Cast) -> None:
    for method, path in sorted(PUBLIC):
        row = ROUTES[method, path]
        body = cast.client.account() if row.body and "register" in row.body else row.body
        target = path.format(file="docs.js")
        answer = await cast.client.http.request(method, target, json=body, headers=bearer("nonsense"))
        assert answer.status_code == row.anonymous, (method, path)
