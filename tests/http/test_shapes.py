"""Success codes and shapes, key by key."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.http.answers import accepted
from tests.http.conftest import Cast
from tests.support.service import SECRET, Client, bearer

ZERO = "0001-01-01T00:00:00Z"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

FULL = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "full@example.com",
    "credentials": {"username": "full", "secret": SECRET},
    "tags": ["a", "a", ""],
    "metadata": {"b": [1, 2.5, None, {"c": "ü"}]},
    "private_metadata": {"d": True},
    "profile_picture": "https://example.com/ada.png?size=1",
}


async def test_a_registration_answers_201_with_location_etag_and_only_the_keys_that_are_set(
    cast: Cast,
) -> None:
    answer = await cast.client.http.post("/users", json=cast.client.account(email="Ada@Example.com"))
    body = accepted(answer, 201)
    assert list(body) == [
        "id", "first_name", "last_name", "status", "role", "credentials", "email",
        "created_at", "updated_at", "verified_at",
    ]  # fmt: skip
    assert UUID4.fullmatch(body["id"])
    assert (body["status"], body["role"], body["email"]) == ("enabled", "user", "Ada@Example.com")
    assert set(body["credentials"]) == {"username"}
    assert TIME.fullmatch(body["created_at"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(body["created_at"])).total_seconds()) < 60
    assert (body["updated_at"], body["verified_at"]) == (ZERO, ZERO)
    assert answer.headers["location"] == f"/users/{body['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["usersd-position"]) == await cast.head()
    assert "usersd-read-model" not in answer.headers


async def test_a_full_user_object_has_every_key_in_the_documented_order(cast: Cast) -> None:
    body = accepted(await cast.client.http.post("/users", json=FULL), 201)
    assert list(body) == [
        "id", "first_name", "last_name", "tags", "metadata", "private_metadata", "status", "role",
        "profile_picture", "credentials", "email", "created_at", "updated_at", "verified_at",
    ]  # fmt: skip
    for key in ("first_name", "last_name", "tags", "metadata", "private_metadata", "profile_picture"):
        assert body[key] == FULL[key]
    assert body["credentials"] == {"username": "full"}


async def test_after_an_update_the_time_and_the_author_are_shown(cast: Cast) -> None:
    answer = await cast.client.http.patch(cast.path, json={"first_name": "Eve"}, headers=cast.user_headers)
    body = accepted(answer)
    assert body["updated_by"] == cast.user["id"]
    assert TIME.fullmatch(body["updated_at"])
    assert body["updated_at"] > body["created_at"]
    assert int(answer.headers["etag"].strip('"')) == 2


async def test_profile_and_view_show_the_same_object_with_the_same_etag(cast: Cast) -> None:
    http = cast.client.http
    profile = await http.get("/users/profile", headers=cast.user_headers)
    for headers in (cast.user_headers, cast.admin):
        view = await http.get(cast.path, headers=headers)
        assert (view.status_code, view.json()) == (200, profile.json())
        assert view.headers["etag"] == profile.headers["etag"]
        assert view.headers["vary"] == "Authorization"


async def test_strangers_see_a_card_of_constants_without_etag(client: Client) -> None:
    admin = await client.as_admin()
    account = FULL | {"role": "admin"}
    shown = accepted(await client.http.post("/users", json=account, headers=admin), 201)
    stranger = await client.register()
    headers = await client.as_user(stranger["email"])
    answer = await client.http.get(f"/users/{shown['id']}", headers=headers)
    assert accepted(answer) == {
        "id": shown["id"],
        "first_name": "Ada",
        "last_name": "Lovelace",
        "metadata": FULL["metadata"],
        "status": "enabled",
        "role": "user",
        "credentials": {"username": "full"},
        "created_at": ZERO,
        "updated_at": ZERO,
        "verified_at": ZERO,
    }
    assert "etag" not in answer.headers
    disabled = await client.http.post(f"/users/{shown['id']}/disable", headers=admin)
    assert accepted(disabled)["status"] == "disabled"
    assert accepted(await client.http.get(f"/users/{shown['id']}", headers=headers))["status"] == "enabled"


async def test_a_registration_the_mainflux_way_shows_identity_and_name_and_an_empty_username_nowhere(
    cast: Cast,
) -> None:
    account = {"name": "Ada", "credentials": {"identity": "mf@example.com", "secret": SECRET}}
    body = accepted(await cast.client.http.post("/users", json=account), 201)
    assert list(body) == [
        "id", "name", "status", "role", "credentials", "email", "created_at", "updated_at", "verified_at"
    ]  # fmt: skip
    assert body["credentials"] == {"identity": "mf@example.com"}
    assert body["email"] == "mf@example.com"


async def test_credentials_are_present_even_where_they_are_empty(cast: Cast) -> None:
    account = {"credentials": {"identity": "card@example.com", "secret": SECRET}}
    shown = accepted(await cast.client.http.post("/users", json=account), 201)
    card = accepted(await cast.client.http.get(f"/users/{shown['id']}", headers=cast.user_headers))
    assert card["credentials"] == {}


async def test_login_and_refresh_answer_201_with_two_tokens_and_their_type(cast: Cast) -> None:
    http = cast.client.http
    issued = await http.post(
        "/users/tokens/issue", json={"username": cast.user["email"], "password": SECRET, "description": "x"}
    )
    tokens = accepted(issued, 201)
    assert list(tokens) == ["access_token", "refresh_token", "access_type"]
    assert tokens["access_type"] == "Bearer"
    refreshed = await http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    assert list(accepted(refreshed, 201)) == list(tokens)
    assert refreshed.json()["refresh_token"] != tokens["refresh_token"]
    for answer in (issued, refreshed):
        assert answer.headers["cache-control"] == "no-store"


async def test_a_page_always_tells_limit_offset_and_total(cast: Cast) -> None:
    page = accepted(await cast.client.http.get("/users?email=nobody-at-all", headers=cast.admin))
    assert page == {"limit": 10, "offset": 0, "total": 0, "users": []}
    page = accepted(await cast.client.http.get(f"{cast.path}/history?offset=99", headers=cast.admin))
    assert page["history"] == []
    assert page["offset"] == 99


async def test_role_secret_enable_and_disable_answer_200_with_the_user(client: Client) -> None:
    admin, user = await client.as_admin(), await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}"
    secrets = {"old_secret": SECRET, "new_secret": SECRET + "4"}
    answers = [
        await client.http.patch("/users/secret", json=secrets, headers=headers),
        await client.http.patch(f"{path}/role", json={"role": "admin"}, headers=admin),
        await client.http.post(f"{path}/disable", headers=admin),
        await client.http.post(f"{path}/enable", headers=admin),
    ]
    for version, answer in enumerate(answers, start=2):
        assert accepted(answer)["id"] == user["id"]
        assert answer.headers["etag"] == f'"{version}"'
    shown = [(answer.json()["role"], answer.json()["status"]) for answer in answers]
    assert shown == [("user", "enabled"), ("admin", "enabled"), ("admin", "disabled"), ("admin", "enabled")]
    await client.login(user["email"], SECRET + "4")


async def test_a_change_that_changes_nothing_answers_200_with_the_same_etag_and_no_event(
    cast: Cast, nothing_stored: None
) -> None:
    http, admin = cast.client.http, cast.admin
    before = await http.get(cast.path, headers=admin)
    same = {"first_name": before.json()["first_name"], "last_name": "", "metadata": None}
    for answer in (
        await http.patch(cast.path, json=same, headers=cast.user_headers),
        await http.patch(cast.path, json={}, headers=admin),
        await http.patch(f"{cast.path}/role", json={"role": "user"}, headers=admin),
    ):
        assert accepted(answer) == before.json()
        assert answer.headers["etag"] == before.headers["etag"]


async def test_health_and_probes_and_keys_are_open_to_all(cast: Cast) -> None:
    http = cast.client.http
    health = await http.get("/health")
    assert health.headers["content-type"] == "application/health+json"
    assert list(accepted(health)) == [
        "status", "version", "commit", "description", "build_time", "instance_id"
    ]  # fmt: skip
    assert (health.json()["status"], health.json()["description"]) == ("pass", "users service")
    assert accepted(await http.get("/livez")) == {"status": "pass"}
    assert accepted(await http.get("/readyz")) == {
        "status": "pass", "checks": {"postgres": "ok", "schema": "ok", "read_models": "ok"}
    }  # fmt: skip
    keys = await http.get("/.well-known/jwks.json")
    assert accepted(keys) == accepted(await http.get("/keys/.well-known/jwks.json"))
    for key in keys.json()["keys"]:
        assert {"kty", "crv", "x", "y", "kid", "alg", "use"} == set(key)


async def test_a_request_id_that_is_sent_is_kept_and_a_bad_one_is_replaced(cast: Cast) -> None:
    http = cast.client.http
    kept = await http.get("/health", headers={"X-Request-ID": "gate-7.Ab_1"})
    assert kept.headers.get_list("x-request-id") == ["gate-7.Ab_1"]
    for bad in ("", "a b", "x" * 65, "a\tb", "<script>"):
        answer = await http.get("/nowhere", headers={"X-Request-ID": bad})
        assert answer.headers["x-request-id"] != bad
