"""Asking for links: what is checked, what is told to nobody, and where links never lead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.mail.asking import NEVER_OURS, NEW, ask_for_reset, ask_for_verification, code, reset, verify
from tests.mail.conftest import PUBLIC, Mailing
from tests.support.mail_server import MailServer, link_in
from tests.support.service import ADMIN, SECRET, Client, bearer


async def test_an_unverified_account_may_ask_for_a_link(mailing: Mailing, mail_server: MailServer) -> None:
    async with mailing(MG_ALLOW_UNVERIFIED_USER="false") as client:
        user = await client.register()
        headers = await client.as_user(user["email"])
        assert (await client.http.get(f"/users/{user['id']}", headers=headers)).status_code == 401
        assert (await verify(client, await ask_for_verification(client, mail_server, headers))).is_success
        assert (await client.http.get(f"/users/{user['id']}", headers=headers)).status_code == 200
        assert (await client.http.post("/users/send-verification")).status_code == 401


async def test_what_is_sent_is_checked(client: Client) -> None:
    two = {"password": NEW, "confirm_password": NEW}
    for body, headers, pointer in (
        (two, {}, "/token"),
        (two | {"token": "a"}, bearer("b"), "/token"),
        (two | {"token": "a", "password": SECRET}, {}, "/confirm_password"),
        ({"token": "a", "password": NEW}, {}, "/confirm_password"),
        ({"token": "a", "password": "short", "confirm_password": "short"}, {}, "/password"),
        ({"token": "a", "password": "x" * 73, "confirm_password": "x" * 73}, {}, "/password"),
    ):
        answer = await client.http.put("/password/reset", json=body, headers=headers)
        assert answer.status_code == 400
        assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
    wrong: list[Any] = [{}, {"email": ""}, {"email": 1}, {"email": "x" * 255}]
    for request in wrong:
        answer = await client.http.post("/password/reset-request", json=request)
        assert answer.status_code == 400
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/email"]
    for query in ("", "?token=", "?token=a&token=b"):
        assert code(await client.http.get(f"/verify-email{query}")) == NEVER_OURS


async def test_a_refused_secret_leaves_the_link_as_it_is(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    assert code(await reset(client, token, user["email"])) == NEVER_OURS
    assert (await reset(client, token)).status_code == 201


async def test_nothing_tells_whether_an_email_is_known(
    client: Client, mail_server: MailServer, rows: Callable[..., Any]
) -> None:
    """Nor is anything stored or sent for nobody, or for somebody who was shut out."""
    disabled = await client.register()
    headers = await client.as_user(disabled["email"])
    await client.http.post(f"/users/{disabled['id']}/disable", headers=headers)
    known = await client.register()
    head = await client.service.bus.ports.log.head()
    answers = []
    for email in ("nobody@example.com", "no address", disabled["email"], known["email"]):
        answers.append(await client.http.post("/password/reset-request", json={"email": email}))
        answers[-1].headers.pop("x-request-id")
    assert len({(answer.status_code, answer.text, str(answer.headers)) for answer in answers}) == 1
    await mail_server.received()
    assert mail_server.recipients == [known["email"]]
    assert await client.service.bus.ports.log.head() == head + 1
    assert await rows("SELECT count(*) FROM mails") == [(1,)]


async def test_a_link_never_leads_where_a_request_says(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    evil = {"Referer": "https://evil.example/x", "Host": "evil.example", "Origin": "https://evil.example",
            "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}  # fmt: skip
    body = {"email": user["email"], "host": "https://evil.example"}
    assert (await client.http.post("/password/reset-request", json=body, headers=evil)).is_success
    (mail,) = await mail_server.received()
    assert "evil" not in mail.as_string()
    assert link_in(mail).startswith(f"{PUBLIC}/password/reset?token=")


async def test_the_security_log_tells_of_requests_and_their_use(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    await verify(client, await ask_for_verification(client, mail_server, headers))
    await reset(client, await ask_for_reset(client, mail_server, user["email"]))
    admin = await client.as_user(**ADMIN)
    wanted = {"verification_requested", "email_verified", "reset_requested", "secret_reset"}
    for _ in range(100):
        answer = await client.http.get(f"/users/{user['id']}/security-log", headers=admin)
        if wanted <= {entry["kind"] for entry in answer.json()["security_log"]}:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"missing: {answer.text}")
