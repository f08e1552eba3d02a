"""What the links of mails do: once, in time, for what they were sent for, and never for anything else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.mail.asking import (
    GONE,
    NEVER_OURS,
    NEW,
    Rows,
    ask_for_reset,
    ask_for_verification,
    code,
    reset,
    until,
    verify,
)
from tests.mail.conftest import PUBLIC, Clock
from tests.support.mail_server import MailServer, link_in, token_in
from tests.support.service import SECRET, Client, bearer


@pytest.mark.parametrize("place", ["body", "bearer", "both"])
async def test_a_forgotten_secret_is_replaced_by_the_link_of_a_mail(
    client: Client, mail_server: MailServer, place: str
) -> None:
    user = await client.register()
    session = await client.login(user["email"])
    token = await ask_for_reset(client, mail_server, user["email"])
    body = {"password": NEW, "confirm_password": NEW} | ({} if place == "bearer" else {"token": token})
    headers = {} if place == "body" else bearer(token)
    answer = await client.http.put("/password/reset", json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (201, {})
    await client.login(user["email"], NEW)
    old = await client.http.post("/users/tokens/issue", json={"identity": user["email"], "secret": SECRET})
    assert old.status_code == 401
    # What was open when the secret was forgotten is closed, too.
    refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(session["refresh_token"]))
    assert refreshed.status_code == 401
    profile = await client.http.get("/users/profile", headers=bearer(session["access_token"]))
    assert profile.status_code == 401


async def test_a_reset_link_works_once(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    assert (await reset(client, token)).status_code == 201
    assert code(await reset(client, token, SECRET)) == GONE
    await client.login(user["email"], NEW)


async def test_of_many_at_once_one_uses_a_reset_link(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    answers = await asyncio.gather(*(reset(client, token, f"{NEW}-{n}") for n in range(8)))
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [201] + [410] * 7
    await client.login(user["email"], f"{NEW}-{statuses.index(201)}")


async def test_of_many_at_once_one_uses_a_verification_link(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_verification(client, mail_server, await client.as_user(user["email"]))
    answers = await asyncio.gather(*(verify(client, token) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 7


async def test_a_reset_link_lives_five_minutes_from_when_its_mail_is_handed_over(
    client: Client, mail_server: MailServer, clock: Clock, rows: Rows
) -> None:
    user = await client.register()
    mail_server.at_recipient = "451 later"
    await client.http.post("/password/reset-request", json={"email": user["email"]})
    # Otherwise the clock may jump before the first try, or while that is on its way.
    await until(rows, "last_error IS NOT NULL")
    clock.advance(timedelta(minutes=7))
    mail_server.at_recipient = ""
    token = token_in((await mail_server.received())[0])
    await until(rows, "state = 'sent'")
    clock.advance(timedelta(minutes=4, seconds=30))
    assert code(await reset(client, token, "short")) == NEVER_OURS
    clock.advance(timedelta(minutes=1))
    assert code(await reset(client, token)) == GONE


async def test_a_verification_link_lives_a_day(
    client: Client, mail_server: MailServer, clock: Clock, rows: Rows
) -> None:
    user = await client.register()
    token = await ask_for_verification(client, mail_server, await client.as_user(user["email"]))
    await until(rows, "state = 'sent'")
    clock.advance(timedelta(hours=24, minutes=1))
    assert code(await verify(client, token)) == GONE
    again = await ask_for_verification(client, mail_server, await client.as_user(user["email"]))
    await until(rows, "state = 'sent'", 2)
    clock.advance(timedelta(hours=23))
    assert (await verify(client, again)).status_code == 200


async def test_a_newer_request_makes_the_older_link_worthless_at_once(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    old = await ask_for_reset(client, mail_server, user["email"])
    verification = await ask_for_verification(client, mail_server, headers)
    # Before anything is mailed: what was asked for stands in the log already.
    mail_server.silent = True
    await client.http.post("/password/reset-request", json={"email": user["email"]})
    await client.http.post("/users/send-verification", headers=headers)
    assert code(await reset(client, old)) == GONE
    assert code(await verify(client, verification)) == GONE
    mail_server.silent = False


@pytest.mark.parametrize("ended_by", ["secret", "email", "disabled"])
async def test_a_reset_link_ends_with_the_standing_it_was_asked_under(
    client: Client, mail_server: MailServer, ended_by: str
) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}"
    if ended_by == "secret":
        secrets = {"old_secret": SECRET, "new_secret": NEW}
        answer = await client.http.patch("/users/secret", json=secrets, headers=headers)
    elif ended_by == "email":
        answer = await client.http.patch(f"{path}/email", json={"email": "n@example.com"}, headers=headers)
    else:
        answer = await client.http.post(f"{path}/disable", headers=headers)
    assert answer.status_code == 200
    assert code(await reset(client, token)) == GONE


async def test_a_verification_link_is_for_the_email_it_was_sent_to(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    token = await ask_for_verification(client, mail_server, headers)
    path = f"/users/{user['id']}/email"
    for address in ("new@example.com", user["email"]):
        changed = await client.http.patch(path, json={"email": address}, headers=headers)
        assert changed.status_code == 200
        assert code(await verify(client, token)) == GONE


async def test_a_change_of_secret_leaves_a_verification_link_as_it_is(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    token = await ask_for_verification(client, mail_server, headers)
    secrets = {"old_secret": SECRET, "new_secret": NEW}
    assert (await client.http.patch("/users/secret", json=secrets, headers=headers)).status_code == 200
    assert (await verify(client, token)).status_code == 200


async def test_an_email_is_verified_by_the_link_of_a_mail(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    token = await ask_for_verification(client, mail_server, headers)
    assert link_in(mail_server.mails[0]) == f"{PUBLIC}/verify-email?token={token}"
    answer = await verify(client, token)
    assert (answer.status_code, answer.content) == (200, b"")
    profile = (await client.http.get("/users/profile", headers=headers)).json()
    assert not profile["verified_at"].startswith("0001")
    assert code(await verify(client, token)) == GONE
    again = await client.http.post("/users/send-verification", headers=headers)
    assert code(again) == (409, "already_verified")


async def test_no_token_is_worth_anything_in_the_place_of_another(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    headers = bearer(tokens["access_token"])
    of_reset = await ask_for_reset(client, mail_server, user["email"])
    of_verification = await ask_for_verification(client, mail_server, headers)
    for token in (of_verification, tokens["access_token"], tokens["refresh_token"]):
        assert code(await reset(client, token)) == NEVER_OURS
        as_bearer = {"password": NEW, "confirm_password": NEW}
        answer = await client.http.put("/password/reset", json=as_bearer, headers=bearer(token))
        assert code(answer) == NEVER_OURS
    for token in (of_reset, tokens["access_token"], tokens["refresh_token"]):
        assert code(await verify(client, token)) == NEVER_OURS
    for token in (of_reset, of_verification):
        for method, path in (("GET", "/users/profile"), ("POST", "/users/tokens/refresh")):
            answer = await client.http.request(method, path, headers=bearer(token))
            assert code(answer) == (401, "invalid_token")
    assert (await reset(client, of_reset)).status_code == 201
    assert (await verify(client, of_verification)).status_code == 200


def _spoiled(token: str) -> list[str]:
    raw = bytearray(base64.urlsafe_b64decode(token + "=="))
    changed = []
    for place in (0, 1, 16, 17, len(raw) - 1):
        copy = bytearray(raw)
        copy[place] ^= 1
        changed.append(base64.urlsafe_b64encode(copy).rstrip(b"=").decode())
    return [*changed, token[:-1], token + "A", token + "=", token[:-1] + "é", " " + token, "x", "a.b.c"]


async def test_what_never_was_a_token_is_400(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    verification = await ask_for_verification(client, mail_server, await client.as_user(user["email"]))
    for spoiled in (*_spoiled(token), "x" * 5000):
        assert code(await reset(client, spoiled)) == NEVER_OURS, spoiled
    for spoiled in _spoiled(verification):
        assert code(await verify(client, spoiled)) == NEVER_OURS, spoiled
    assert (await reset(client, token)).status_code == 201


async def test_a_token_is_stored_only_as_a_hash(
    client: Client, mail_server: MailServer, rows: Callable[..., Any]
) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    tables = await rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    mac = base64.urlsafe_b64decode(token + "==")[17:]
    for (table,) in tables:
        for row in await rows(f"SELECT t::text FROM {table} t"):
            assert token not in row[0]
            assert mac.hex() not in row[0]
    assert await rows("SELECT count(*) FROM link_tokens") == [(1,)]
