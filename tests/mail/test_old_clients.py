"""The calls of old clients that have to do with mails, in the shape in which they send them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.sdk import Sdk
from tests.mail.asking import request_reset
from tests.support.mail_server import MailServer, token_in
from tests.support.service import SECRET, Client, bearer

NEW = "changeMe456"
REFERER = {"Referer": "https://ui.example/login"}


async def given_token(client: Client, server: MailServer) -> tuple[dict[str, Any], str]:
    """Somebody registered, and the token of the reset mail that was sent to them."""
    user = await client.register()
    await request_reset(client, user["email"])
    return user, token_in((await server.received())[0])


async def test_a_reset_is_requested_with_a_host_and_a_referer(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    for email in (user["email"], "nobody@example.com"):
        body = {"email": email, "host": "https://ui.example"}
        headers = REFERER | {"Content-Type": "application/json"}
        answer = await client.http.post("/password/reset-request", json=body, headers=headers)
        assert (answer.status_code, answer.json()) == (201, {"msg": "Email with reset link is sent"})
    (mail,) = await mail_server.received()
    assert "ui.example" not in mail.as_string()


@pytest.mark.parametrize("dialect", ["magistrala", "mainflux"])
async def test_a_reset_answers_201_with_the_token_where_each_dialect_has_it(
    client: Client, mail_server: MailServer, dialect: str
) -> None:
    user, token = await given_token(client, mail_server)
    sdk, body = Sdk(client.http), {"password": NEW, "confirm_password": NEW}
    if dialect == "mainflux":
        answer = await sdk("PUT", "/password/reset", 201, body | {"token": token})
    else:
        answer = await sdk.with_token(token)("PUT", "/password/reset", 201, body)
    assert answer == {}
    await sdk("POST", "/users/tokens/issue", 201, {"username": user["email"], "password": NEW})


async def test_a_verification_is_sent_and_used_with_200_and_no_body(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = bearer((await client.login(user["email"], SECRET))["access_token"])
    headers["Content-Type"] = "application/json"
    sent = await client.http.post("/users/send-verification", headers=headers)
    assert (sent.status_code, sent.content, sent.headers["content-type"]) == (200, b"", "application/json")
    token = token_in((await mail_server.received())[0])
    used = await client.http.get(f"/verify-email?token={token}", headers={"Content-Type": "application/json"})
    assert (used.status_code, used.content, used.headers["content-type"]) == (200, b"", "application/json")
    profile = (await client.http.get("/users/profile", headers=headers)).json()
    assert not profile["verified_at"].startswith("0001")
