"""Everything that is held on one user: whole, theirs alone, and without what would help a thief."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jsonschema_rs
import psycopg
import pytest

from application.commands.erase_user import EraseUser
from application.holdings import NOT_SHOWN
from application.messages import Context
from application.queries import export_user
from domain.access import OPERATOR
from infrastructure.accounts.holdings import NOTHING_TO_TELL, TOLD
from infrastructure.erasure.erasers import ERASERS
from interfaces.http import portability
from interfaces.http.portability import UserExport
from tests.http import served_document
from tests.http.answers import accepted, refused
from tests.http.conftest import Cast, checked_service
from tests.support.mail_server import MailServer
from tests.support.service import SECRET, Client, bearer
from tests.support.waiting import eventually

HERE = {"X-Forwarded-For": "192.0.2.7", "User-Agent": "browser"}
NEW = "changeMe456"


async def export(client: Client, user: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.http.get(f"/users/{user['id']}/export", headers=headers)
    found: dict[str, Any] = accepted(answer)
    assert answer.headers["content-disposition"] == f'attachment; filename="user-{user["id"]}.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return found


@pytest.fixture
async def mailing(database: str) -> AsyncIterator[tuple[Client, MailServer]]:
    """A service behind a proxy that tells where requests come from, which sends mails and counts attempts."""
    server = MailServer()
    server.start()
    settings = {
        "MG_EMAIL_HOST": "127.0.0.1", "MG_EMAIL_PORT": str(server.port), "MG_EMAIL_TIMEOUT": "5s",
        "MG_EMAIL_FROM_ADDRESS": "accounts@id.example", "MG_USERS_PUBLIC_URL": "https://id.example",
        "MG_USERS_THROTTLE": "true", "MG_USERS_TRUSTED_PROXIES": "127.0.0.1",
    }  # fmt: skip
    async with checked_service(database, mail=True, **settings) as client:
        yield client, server
    server.stop()


async def a_life(client: Client, server: MailServer) -> tuple[dict[str, Any], dict[str, str]]:
    """A user of whom every table has something, and how they show who they are."""
    user = await client.register(private_metadata={"note": "of me"}, metadata={"site": 1})
    path, admin = f"/users/{user['id']}", await client.as_admin()
    login = {"identity": user["email"], "secret": SECRET, "description": "laptop"}
    first = accepted(await client.http.post("/users/tokens/issue", json=login, headers=HERE), 201)
    wrong = login | {"secret": "wrong"}
    refused(await client.http.post("/users/tokens/issue", json=wrong, headers=HERE), 401, "wrong_credentials")
    headers = bearer(first["access_token"])
    accepted(await client.http.patch(path, json={"first_name": "Augusta"}, headers=admin))
    accepted(await client.http.patch(f"{path}/email", json={"email": "new@example.com"}, headers=headers))
    change = {"old_secret": SECRET, "new_secret": NEW}
    accepted(await client.http.patch("/users/secret", json=change, headers=headers))
    login |= {"identity": "new@example.com", "secret": NEW}
    tokens = accepted(await client.http.post("/users/tokens/issue", json=login, headers=HERE), 201)
    headers = bearer(tokens["access_token"])
    await client.login("new@example.com", NEW)
    session = accepted(await client.http.get("/users/tokens/refresh-tokens", headers=headers))
    ended = next(one["id"] for one in session["refresh_tokens"] if not one.get("current"))
    revoked = await client.http.post("/users/tokens/revoke", json={"token_id": ended}, headers=headers)
    assert revoked.status_code == 204
    assert (await client.http.post("/users/send-verification", headers=headers)).status_code == 200
    await server.received(4)
    return user, headers


def test_every_table_with_something_of_a_user_is_told_of() -> None:
    known = {eraser.table for eraser in ERASERS}
    assert TOLD.keys() | NOTHING_TO_TELL == known, "edit TOLD in infrastructure/accounts/holdings.py"
    assert not TOLD.keys() & NOTHING_TO_TELL
    for place in TOLD.values():
        member, _, entry = place.partition("/")
        assert member in UserExport.__struct_fields__
        assert (member == "not_shown") == (entry in NOT_SHOWN)


async def test_it_holds_everything_in_the_form_that_the_document_says(
    mailing: tuple[Client, MailServer],
) -> None:
    client, server = mailing
    user, headers = await a_life(client, server)

    async def all_is_sent() -> bool:
        mails = (await export(client, user, await client.as_admin()))["mails"]
        return bool(mails) and all(mail["state"] == "sent" for mail in mails)

    await eventually(all_is_sent)
    found = await export(client, user, headers | HERE)
    spec = served_document.made()
    schema = spec["components"]["schemas"]["UserExport"] | {"components": spec["components"]}
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(found)
    profile = accepted(await client.http.get("/users/profile", headers=headers))
    assert found["user"] == profile
    assert profile["private_metadata"] == {"note": "of me"}
    assert found["secret"] == {"set": True, "kind": "bcrypt"}
    assert [(entry["event"], entry["by"]) for entry in found["history"]] == [
        ("registered", "nobody signed in"),
        ("profile_updated", "an admin"),
        ("email_changed", "the user"),
        ("secret_changed", "the user"),
        ("verification_requested", "the user"),
    ]
    assert found["history"][0]["data"]["email"] == user["email"]
    assert {entry["what"] for entry in found["not_shown"]} == set(NOT_SHOWN)
    assert found["complete"] is True
    check_what_stands_beside_the_log(user, found)


def check_what_stands_beside_the_log(user: dict[str, Any], found: dict[str, Any]) -> None:
    (session,) = found["sessions"]
    assert (session["description"], session["user_agent"]) == ("laptop", "browser")
    assert session["opened_from"] == "192.0.2.0/24"
    assert len(found["ended_sessions"]) == 1
    assert {(mail["kind"], mail["to"]) for mail in found["mails"]} == {
        ("email_left", user["email"]),
        ("email_changed", "new@example.com"),
        ("secret_changed", "new@example.com"),
        ("verification", "new@example.com"),
    }
    assert [link["kind"] for link in found["links"]] == ["verification"]
    assert {attempt["act"] for attempt in found["attempts"]} >= {"login", "email"}
    kinds = [entry["kind"] for entry in found["security_log"]]
    assert kinds[0] == "export"
    assert {"login", "login_failed", "session_revoked", "verification_requested"} <= set(kinds)


async def test_nothing_of_it_helps_a_thief_and_no_admin_is_named(mailing: tuple[Client, MailServer]) -> None:
    client, server = mailing
    user, headers = await a_life(client, server)
    text = (await client.http.get(f"/users/{user['id']}/export", headers=headers)).text
    assert "$2b$" not in text
    assert headers["Authorization"].split()[1] not in text
    for mail in server.mails:
        links = [word.partition("token=")[2] for word in str(mail).split() if "token=" in word]
        assert all(token not in text for token in links)
    async with await psycopg.AsyncConnection.connect(client.service.pool.conninfo) as connection:
        for table, column in (
            ("sessions", "token_hash"),
            ("link_tokens", "token_hash"),
            ("names", "digest"),
            ("throttle", "digest"),
            ("user_keys", "wrapped"),
            ("credentials", "secret_hash"),
        ):
            rows = await (await connection.execute(f"SELECT {column} FROM {table}")).fetchall()
            assert rows, table
            # The marker that there has been an admin is an empty digest.
            for (value,) in filter(any, rows):
                assert (value.hex() if isinstance(value, bytes) else str(value)) not in text, table
    admin = accepted(await client.http.get("/users/profile", headers=await client.as_admin()))
    shown = json.loads(text)
    assert shown["user"].pop("updated_by") == user["id"]
    assert admin["id"] not in json.dumps(shown)
    assert admin["email"] not in text


async def test_what_an_admin_takes_stands_in_the_log_of_the_user_and_not_whence(cast: Cast) -> None:
    user = await cast.client.register()
    await export(cast.client, user, cast.admin)
    headers = await cast.client.as_user(user["email"])
    found = await export(cast.client, user, headers)
    own, _, theirs = found["security_log"]
    assert (own["kind"], "detail" in own, "session_id" in own) == ("export", False, True)
    assert (theirs["kind"], theirs["detail"]) == ("export", "by an admin")
    assert "session_id" not in theirs
    assert "network" not in theirs


async def test_of_a_disabled_or_deleted_user_an_admin_gets_it(cast: Cast) -> None:
    user = await cast.client.register()
    headers = await cast.client.as_user(user["email"])
    for method, path in (("POST", f"/users/{user['id']}/disable"), ("DELETE", f"/users/{user['id']}")):
        assert (await cast.client.http.request(method, path, headers=cast.admin)).status_code in (200, 204)
        own = await cast.client.http.get(f"/users/{user['id']}/export", headers=headers)
        refused(own, 401, "invalid_token")
        found = await export(cast.client, user, cast.admin)
        assert found["user"]["email"] == user["email"]


async def test_of_nobody_and_of_the_erased_there_is_none(cast: Cast) -> None:
    user = await cast.client.register()
    await cast.client.http.delete(f"/users/{user['id']}", headers=cast.admin)
    command_id = uuid4()
    context = Context(actor=OPERATOR, at=datetime.now(UTC), command_id=command_id, correlation_id=command_id)
    await cast.client.service.bus.dispatch(EraseUser(user_id=UUID(user["id"])), context)
    for user_id in (user["id"], "nobody", "6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11"):
        answer = await cast.client.http.get(f"/users/{user_id}/export", headers=cast.admin)
        refused(answer, 404, "not_found")


async def test_an_account_that_is_not_verified_yet_may_see_what_is_held_on_it(database: str) -> None:
    async with checked_service(database, MG_ALLOW_UNVERIFIED_USER="false") as client:
        user = await client.register()
        found = await export(client, user, await client.as_user(user["email"]))
        assert found["user"]["id"] == user["id"]


async def test_whoever_takes_it_again_and_again_waits_and_holds_up_nobody_else(database: str) -> None:
    async with checked_service(database, MG_USERS_THROTTLE="true") as client:
        user = await client.register()
        headers = await client.as_user(user["email"])
        for _ in range(5):
            await export(client, user, headers)
        answer = await client.http.get(f"/users/{user['id']}/export", headers=headers)
        refused(answer, 429, "too_many_attempts")
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        admin = await client.as_admin()
        await export(client, user, admin)
        await client.http.delete(f"/users/{user['id']}/throttle", headers=admin)
        await export(client, user, headers)


async def test_a_long_security_log_comes_in_parts_for_as_long_as_its_reader_may_read_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_user, "ENTRIES", 2)
    user = await client.register()
    headers = await client.as_user(user["email"])
    for _ in range(4):
        await client.login(user["email"])
    whole = await export(client, user, headers)
    assert len(whole["security_log"]) == 6
    assert whole["complete"] is True
    page, asked = client.service.bus.ports.security_log.page, 0

    async def disabled_between(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            path = f"/users/{user['id']}/disable"
            accepted(await client.http.post(path, headers=await client.as_admin()))
        return await page(*given)

    monkeypatch.setattr(portability, "ASKED_AGAIN", 0.0)
    monkeypatch.setattr(client.service.bus.ports.security_log, "page", disabled_between)
    cut = await export(client, user, headers)
    assert (cut["complete"], cut["code"], len(cut["security_log"])) == (False, "invalid_token", 2)
