"""Every kind of refusal: its status, its one body, its headers, and which comes first."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from application.queries.view_user import ViewUser
from infrastructure.accounts.passwords import BcryptHasher
from tests.http.answers import accepted, check_marks, check_problem, refused
from tests.http.conftest import Cast, checked_service
from tests.support.databases import Databases
from tests.support.service import SECRET, Client, bearer, running_service
from tests.support.waiting import eventually

NOBODY = "/users/2a3c1c7e-6a1b-4b0e-9a58-0d6a5d3f9d11"


async def test_an_unknown_user_and_a_wrong_secret_get_one_answer(cast: Cast, nothing_stored: None) -> None:
    texts = set()
    for login, secret in ((cast.user["email"], "wrong-secret"), ("nobody@example.com", SECRET)):
        body = {"username": login, "password": secret}
        answer = await cast.client.http.post("/users/tokens/issue", json=body)
        refused(answer, 401, "wrong_credentials")
        assert answer.headers["www-authenticate"] == 'Bearer realm="usersd"'
        texts.add(answer.json()["detail"])
    assert len(texts) == 1


async def test_a_disabled_account_gets_the_same_answer_at_login(client: Client) -> None:
    user = await client.register()
    wrong = await client.http.post(
        "/users/tokens/issue", json={"identity": user["email"], "secret": "wrong-secret"}
    )
    await client.http.post(f"/users/{user['id']}/disable", headers=await client.as_admin())
    answer = await client.http.post("/users/tokens/issue", json={"identity": user["email"], "secret": SECRET})
    refused(answer, 401, "wrong_credentials")
    assert answer.json()["detail"] == wrong.json()["detail"]


async def test_no_token_and_a_bad_token_are_challenged_as_rfc_6750_has_it(cast: Cast) -> None:
    none = await cast.client.http.get("/users/profile")
    refused(none, 401, "unauthenticated")
    assert none.headers["www-authenticate"] == 'Bearer realm="usersd"'
    bad = await cast.client.http.get("/users/profile", headers=bearer("bad"))
    refused(bad, 401, "invalid_token")
    assert bad.headers["www-authenticate"] == 'Bearer realm="usersd", error="invalid_token"'


async def test_what_is_not_allowed_is_403(cast: Cast, nothing_stored: None) -> None:
    http, other = cast.client.http, cast.other_headers
    refused(await http.patch(cast.path, json={"first_name": "X"}, headers=other), 403, "forbidden")
    refused(await http.get("/users", headers=other), 403, "admin_only")
    refused(await http.patch(NOBODY, json={"first_name": "X"}, headers=other), 403, "forbidden")


async def test_a_taken_email_or_username_is_409(cast: Cast, nothing_stored: None) -> None:
    http, account = cast.client.http, cast.client.account
    answer = await http.post("/users", json=account(email=cast.user["email"].title()))
    refused(answer, 409, "email_taken")
    credentials = {"username": cast.user["credentials"]["username"].upper(), "secret": SECRET}
    refused(await http.post("/users", json=account(credentials=credentials)), 409, "username_taken")


async def test_a_status_that_is_set_already_is_409(client: Client) -> None:
    admin, user = await client.as_admin(), await client.register()
    path = f"/users/{user['id']}"
    refused(await client.http.post(f"{path}/enable", headers=admin), 409, "status_already_set")
    accepted(await client.http.post(f"{path}/disable", headers=admin))
    refused(await client.http.post(f"{path}/disable", headers=admin), 409, "status_already_set")


async def test_an_admin_is_told_404_for_a_user_who_is_not_there(cast: Cast, nothing_stored: None) -> None:
    http, admin = cast.client.http, cast.admin
    for answer in (
        await http.get(NOBODY, headers=admin),
        await http.patch(NOBODY, json={"first_name": "X"}, headers=admin),
        await http.patch(f"{NOBODY}/role", json={"role": "admin"}, headers=admin),
        await http.post(f"{NOBODY}/enable", headers=admin),
        await http.post(f"{NOBODY}/disable", headers=admin),
        await http.post("/users/nobody/disable", headers=admin),
    ):
        refused(answer, 404, "not_found")


async def test_a_stale_if_match_is_412_and_a_fitting_one_is_not(client: Client) -> None:
    user, admin = await client.register(), await client.as_admin()
    path = f"/users/{user['id']}"
    for etag in ('"7"', '"2", "3"', 'W/"9"'):
        headers = admin | {"If-Match": etag}
        refused(
            await client.http.patch(path, json={"first_name": "X"}, headers=headers), 412, "stale_version"
        )
    for number, etag in enumerate(('"1"', '"1", "2"', "*"), start=2):
        answer = await client.http.patch(path, json={"first_name": etag}, headers=admin | {"If-Match": etag})
        accepted(answer)
        assert answer.headers["etag"] == f'"{number}"'
    for verb in ("disable", "enable"):
        headers = admin | {"If-Match": '"1"'}
        refused(await client.http.post(f"{path}/{verb}", headers=headers), 412, "stale_version")


@pytest.mark.parametrize("etag", ['"x"', '"999999999999999999999999999999"', '"-1"', '"1.0"', '""'])
async def test_an_etag_that_is_none_of_ours_matches_no_version(
    cast: Cast, nothing_stored: None, etag: str
) -> None:
    headers = cast.admin | {"If-Match": etag}
    answer = await cast.client.http.patch(cast.path, json={"first_name": "X"}, headers=headers)
    refused(answer, 412, "stale_version")


@pytest.mark.parametrize("etag", ["1", '"1', "nonsense", '"1" "2"', "w/1"])
async def test_an_if_match_that_holds_no_etags_is_400(cast: Cast, nothing_stored: None, etag: str) -> None:
    headers = cast.admin | {"If-Match": etag}
    answer = await cast.client.http.patch(cast.path, json={"first_name": "X"}, headers=headers)
    refused(answer, 400, "invalid_request", "")


async def test_an_unknown_path_is_404_before_anything_else_is_looked_at(cast: Cast) -> None:
    for method, path in (("GET", "/"), ("POST", "/user"), ("PATCH", f"{cast.path}/nope"), ("GET", "/docs/x")):
        for headers in ({}, cast.admin):
            answer = await cast.client.http.request(method, path, headers=headers, content=b"{")
            refused(answer, 404, "not_found")


async def test_a_known_path_with_another_method_is_405_and_says_which_it_takes(cast: Cast) -> None:
    http = cast.client.http
    for method, path, allowed in (
        ("PUT", "/users", {"GET", "POST"}),
        ("DELETE", "/users/profile", {"GET"}),
        ("GET", "/users/tokens/issue", {"POST"}),
        ("GET", "/users/secret", {"PATCH"}),
        ("POST", "/health", {"GET"}),
        ("GET", f"{cast.path}/role", {"PATCH"}),
    ):
        answer = await http.request(method, path)
        refused(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == allowed
    assert (await http.head("/health")).status_code == 405


async def test_401_comes_before_415_and_415_before_400(cast: Cast, nothing_stored: None) -> None:
    http, text = cast.client.http, {"Content-Type": "text/plain"}
    for method, path in (("PATCH", cast.path), ("PATCH", f"{cast.path}/role"), ("PATCH", "/users/secret")):
        bare = await http.request(method, path, content=b"{", headers=text)
        refused(bare, 401, "unauthenticated")
        typed = await http.request(method, path, content=b"{", headers=text | cast.admin)
        refused(typed, 415, "unsupported_media_type")
        wrong = await http.request(
            method, path, content=b"{", headers=cast.admin | {"Content-Type": "application/json"}
        )
        refused(wrong, 400, "invalid_request", "")
    refused(await http.get("/users?limit=x"), 401, "unauthenticated")


@pytest.mark.parametrize("media_type", [None, "", "text/plain", "application/xml", "application/jso", "json"])
async def test_a_body_of_another_media_type_is_415(
    cast: Cast, nothing_stored: None, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for path in ("/users", "/users/tokens/issue"):
        answer = await cast.client.http.post(path, content=b"{}", headers=headers)
        refused(answer, 415, "unsupported_media_type")


async def test_without_self_registration_only_an_admin_registers(database: str) -> None:
    async with checked_service(database, MG_USERS_ALLOW_SELF_REGISTER="false") as client:
        refused(await client.http.post("/users", json=client.account()), 401, "unauthenticated")
        refused(await client.http.post("/users", content=b"{"), 401, "unauthenticated")
        admin, account = await client.as_admin(), client.account()
        accepted(await client.http.post("/users", json=account, headers=admin), 201)
        plain = await client.as_user(account["email"])
        refused(await client.http.post("/users", json=client.account(), headers=plain), 403, "admin_only")


async def test_an_unverified_account_passes_the_gate_only_where_it_may(database: str) -> None:
    async with checked_service(database, MG_ALLOW_UNVERIFIED_USER="false") as client:
        user = await client.register()
        headers, path = await client.as_user(user["email"]), f"/users/{user['id']}"
        accepted(await client.http.get("/users/profile", headers=headers))
        refused(await client.http.get(path, headers=headers), 401, "email_not_verified")
        refused(await client.http.patch(path, json={}, headers=headers), 401, "email_not_verified")
        accepted(await client.http.get(path, headers=await client.as_admin()))
        accepted(await client.http.post("/users", json=client.account(), headers=headers), 201)


async def test_too_many_secrets_to_check_are_503_with_retry_after(
    cast: Cast, nothing_stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = cast.client.service.bus.ports.hasher
    assert isinstance(hasher, BcryptHasher)
    monkeypatch.setattr(hasher, "waiting", 10**6)
    body = {"identity": cast.user["email"], "secret": SECRET}
    answer = await cast.client.http.post("/users/tokens/issue", json=body)
    refused(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    refused(await cast.client.http.post("/users", json=cast.client.account()), 503, "overloaded")


async def test_without_its_database_the_service_answers_503_and_comes_back(
    databases: Databases, database: str
) -> None:
    name = Identifier(str(conninfo_to_dict(database)["dbname"]))
    async with checked_service(database) as client:
        user = await client.register()
        headers, admin = await client.as_user(user["email"]), await client.as_admin()
        http, path = client.http, f"/users/{user['id']}"
        with psycopg.connect(databases.server, dbname="postgres", autocommit=True) as server:
            server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [conninfo_to_dict(database)["dbname"]],
            )
            view, listed, ready, login, alive = await asyncio.gather(
                http.get(path, headers=headers),
                http.get("/users", headers=admin),
                http.get("/readyz"),
                http.post("/users/tokens/issue", json={"identity": user["email"], "secret": SECRET}),
                http.get("/livez"),
            )
            for answer in (view, listed, login):
                refused(answer, 503, "unavailable")
            assert ready.status_code == 503
            assert ready.json()["status"] == "fail"
            assert ready.headers["retry-after"]
            accepted(alive)
            server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

        async def back() -> bool:
            return (await http.get(path, headers=headers)).status_code == 200

        await eventually(back)


async def test_a_fault_of_ours_is_500_with_the_request_id_and_nothing_of_the_inside(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: Any) -> None:
        raise RuntimeError("the inside")

    async with running_service(database) as client:
        headers = await client.as_admin()
        client.service.bus._queries = {ViewUser: fails}
        with caplog.at_level(logging.INFO):
            answer = await client.http.get("/users/profile", headers=headers | {"X-Request-ID": "abc"})
    assert answer.status_code == 500
    check_marks(answer)
    check_problem(answer)
    assert answer.json()["code"] == "internal_error"
    assert "abc" in answer.json()["detail"]
    assert "inside" not in answer.text
    assert "RuntimeError" not in answer.text
    assert any("RuntimeError in request abc" in record.getMessage() for record in caplog.records)


async def test_a_caller_who_hangs_up_is_no_fault_of_ours(
    cast: Cast, nothing_stored: None, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": b'{"first', "more_body": True}])

    async def receive() -> Any:
        return next(parts, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/users", "raw_path": b"/users", "query_string": b"",
        "root_path": "", "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"},
        "headers": [(b"content-type", b"application/json")], "client": ("t", 1), "server": ("t", 80),
    }  # fmt: skip
    transport: Any = cast.client.http._transport
    await transport.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
