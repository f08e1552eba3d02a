"""Mainflux and Magistrala clients are understood, told apart by field names and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.answers import accepted, refused
from tests.http.conftest import Cast
from tests.support.service import SECRET, bearer

ZERO = "0001-01-01T00:00:00Z"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("login", "secret"),
    [
        ({"username": "{email}"}, "password"),
        ({"username": "{username}"}, "password"),
        ({"identity": "{email}"}, "secret"),
        ({"identity": "{username}"}, "secret"),
        ({"username": "", "identity": "{email}", "password": ""}, "secret"),
    ],
)
async def test_a_login_takes_username_or_email_under_the_keys_of_either_dialect(
    cast: Cast, login: dict[str, str], secret: str
) -> None:
    names = {"email": cast.user["email"].upper(), "username": cast.user["credentials"]["username"].upper()}
    body = {key: value.format(**names) for key, value in login.items()} | {secret: SECRET}
    tokens = accepted(await cast.client.http.post("/users/tokens/issue", json=body), 201)
    profile = await cast.client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
    assert accepted(profile)["id"] == cast.user["id"]


async def test_a_mainflux_account_logs_in_by_identity_and_takes_a_new_name(cast: Cast) -> None:
    http = cast.client.http
    account = {"name": "Old", "credentials": {"identity": "Login@Example.com", "secret": SECRET}}
    user = accepted(await http.post("/users", json=account), 201)
    headers = await cast.client.as_user("login@example.com")
    changed = accepted(await http.patch(f"/users/{user['id']}", json={"name": "New"}, headers=headers))
    assert (changed["name"], changed["credentials"]) == ("New", {"identity": "Login@Example.com"})


async def test_identity_decides_for_mainflux_even_beside_magistrala_fields(cast: Cast) -> None:
    account = cast.client.account(
        email="ignored@example.com",
        credentials={"identity": "chosen@example.com", "username": "ignored", "secret": SECRET},
    )
    body = accepted(await cast.client.http.post("/users", json=account), 201)
    assert (body["email"], body["credentials"]) == ("chosen@example.com", {"identity": "chosen@example.com"})


async def test_an_empty_identity_leaves_a_registration_to_the_magistrala_way(cast: Cast) -> None:
    account = cast.client.account()
    account["credentials"]["identity"] = ""
    body = accepted(await cast.client.http.post("/users", json=account), 201)
    assert body["credentials"] == {"username": account["credentials"]["username"]}


def whole_user_object(account: dict[str, Any]) -> dict[str, Any]:
    """What the Go SDK sends wherever it sends a user: every key, unset ones as zero values."""
    return {
        "id": "",
        "first_name": "",
        "last_name": "",
        "tags": None,
        "metadata": None,
        "private_metadata": None,
        "created_at": ZERO,
        "updated_at": ZERO,
        "updated_by": "",
        "verified_at": ZERO,
        "status": "",
        "role": "",
        "profile_picture": "",
        "permissions": None,
        "email": "",
        "auth_provider": "",
        "a key of the future": {"deep": [1]},
    } | account


async def test_the_whole_user_object_of_the_sdk_registers(cast: Cast) -> None:
    body = whole_user_object(cast.client.account())
    created = accepted(await cast.client.http.post("/users", json=body), 201)
    assert created["id"] != ""
    assert created["created_at"] != ZERO
    assert (created["status"], created["role"]) == ("enabled", "user")


async def test_what_only_the_service_decides_is_not_taken_from_a_registration(cast: Cast) -> None:
    forged = {
        "id": "6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11",
        "created_at": "2001-01-01T00:00:00Z",
        "updated_by": cast.user["id"],
        "verified_at": "2001-01-01T00:00:00Z",
        "auth_provider": "google",
        "permissions": ["admin"],
    }
    created = accepted(await cast.client.http.post("/users", json=cast.client.account(**forged)), 201)
    assert created["id"] != forged["id"]
    assert created["created_at"] > "2020"
    assert created["verified_at"] == ZERO
    assert not {"updated_by", "auth_provider", "permissions"} & set(created)


async def test_patching_with_the_whole_user_object_changes_only_what_the_route_is_for(cast: Cast) -> None:
    http, client = cast.client.http, cast.client
    before = await client.register(tags=["t"], metadata={"m": 1})
    headers, path = await client.as_user(before["email"]), f"/users/{before['id']}"
    body = whole_user_object(before | {"first_name": "Grace", "role": "admin", "email": "else@example.com"})
    after = accepted(await http.patch(path, json=body, headers=headers))
    assert after == before | {
        "first_name": "Grace", "updated_at": after["updated_at"], "updated_by": before["id"]
    }  # fmt: skip
    body = whole_user_object(before | {"first_name": "Nobody", "role": "admin", "status": "disabled"})
    promoted = accepted(await http.patch(f"{path}/role", json=body, headers=cast.admin))
    assert (promoted["role"], promoted["first_name"], promoted["status"]) == ("admin", "Grace", "enabled")


async def test_calls_of_old_clients_carry_json_as_content_type_even_without_a_body(cast: Cast) -> None:
    http, admin = cast.client.http, cast.admin | JSON
    for path in ("/health", cast.path, "/users/profile"):
        accepted(await http.get(path, headers=admin))
    user = await cast.client.register()
    for verb, status in (("disable", "disabled"), ("enable", "enabled")):
        answer = await http.post(f"/users/{user['id']}/{verb}", headers=admin)
        assert accepted(answer)["status"] == status


async def test_lists_of_old_clients_carry_parameters_that_are_not_known(cast: Cast) -> None:
    query = "with_attributes=false&with_metadata=false&total=0&roles=true&identity=&limit=2&offset=0"
    page = accepted(await cast.client.http.get(f"/users?{query}", headers=cast.admin | JSON))
    assert page["limit"] == 2


async def test_a_refresh_needs_no_content_type_and_ignores_a_body(cast: Cast) -> None:
    http = cast.client.http
    token = (await cast.client.login(cast.user["email"]))["refresh_token"]
    for more in ({}, {"content": b"{nonsense"}, {"content": b"{}", "headers": JSON}):
        headers = bearer(token) | more.pop("headers", {})  # type: ignore[operator]
        answer = await http.post("/users/tokens/refresh", headers=headers, **more)
        token = accepted(answer, 201)["refresh_token"]


async def test_the_collection_answers_with_and_without_a_slash(cast: Cast) -> None:
    http = cast.client.http
    assert accepted(await http.get("/users/", headers=cast.admin)) == accepted(
        await http.get("/users", headers=cast.admin)
    )
    accepted(await http.post("/users/", json=cast.client.account()), 201)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bEaReR"])
async def test_the_scheme_is_matched_without_regard_to_case(cast: Cast, scheme: str) -> None:
    token = cast.user_headers["Authorization"].removeprefix("Bearer ")
    answer = await cast.client.http.get("/users/profile", headers={"Authorization": f"{scheme} {token}"})
    assert accepted(answer)["id"] == cast.user["id"]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "text/plain, application/json",
        "application/merge-patch+json",
    ],
)
async def test_whatever_contains_json_is_json(cast: Cast, media_type: str) -> None:
    answer = await cast.client.http.patch(
        cast.path, content=b"{}", headers=cast.user_headers | {"Content-Type": media_type}
    )
    accepted(answer)


@pytest.mark.parametrize("number", [0, 1, 2, 1.5, True])
async def test_a_role_or_status_as_a_number_is_refused_with_what_is_expected(
    cast: Cast, nothing_stored: None, number: object
) -> None:
    body = cast.client.account(role=number, status=number)
    answer = await cast.client.http.post("/users", json=body)
    messages = refused(answer, 400, "invalid_request", "/role", "/status")
    assert set(messages) == {"Expected one of: user, admin.", "Expected one of: enabled, disabled."}
    answer = await cast.client.http.patch(f"{cast.path}/role", json={"role": number}, headers=cast.admin)
    assert refused(answer, 400, "invalid_request", "/role") == ["Expected one of: user, admin."]


async def test_null_counts_as_absent_everywhere(cast: Cast) -> None:
    nulls = dict.fromkeys(
        ["id", "name", "tags", "metadata", "private_metadata", "profile_picture", "status", "role"]
    )
    created = accepted(await cast.client.http.post("/users", json=cast.client.account(**nulls)), 201)
    assert (created["status"], created["role"]) == ("enabled", "user")
    page = accepted(await cast.client.http.get("/users?limit=&status=&order=&dir=", headers=cast.admin))
    assert page["limit"] == 10


async def test_an_empty_object_clears_metadata_and_an_empty_name_stays(cast: Cast) -> None:
    user = await cast.client.register(metadata={"a": 1}, private_metadata={"b": 2})
    headers = await cast.client.as_user(user["email"])
    body = {"first_name": "", "metadata": {}, "private_metadata": {}}
    after = accepted(await cast.client.http.patch(f"/users/{user['id']}", json=body, headers=headers))
    assert after["first_name"] == "Ada"
    assert not {"metadata", "private_metadata"} & set(after)


async def test_a_registration_with_a_token_that_no_longer_holds_goes_on_as_anybodys(cast: Cast) -> None:
    """Old clients send their token with every request, expired or not."""
    for token in ("expired.or.not", (await cast.client.login(cast.user["email"]))["refresh_token"]):
        answer = await cast.client.http.post("/users", json=cast.client.account(), headers=bearer(token))
        accepted(answer, 201)
        asked = await cast.client.http.post(
            "/users", json=cast.client.account(role="admin"), headers=bearer(token)
        )
        refused(asked, 403, "admin_only")
