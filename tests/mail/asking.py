"""Words for asking for links and using them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.mail_server import MailServer, token_in
from tests.support.service import Client
from tests.support.waiting import eventually

Rows = Callable[..., Any]

NEW = "changeMe456"


async def ask_for_reset(client: Client, server: MailServer, email: str, **more: Any) -> str:
    """The token of the mail that comes."""
    before = len(server.mails)
    answer = await client.http.post("/password/reset-request", json={"email": email}, **more)
    assert (answer.status_code, answer.json()) == (201, {"msg": "Email with reset link is sent"})
    return token_in((await server.received(before + 1))[before])


async def ask_for_verification(client: Client, server: MailServer, headers: dict[str, str]) -> str:
    """The token of the mail that comes."""
    before = len(server.mails)
    answer = await client.http.post("/users/send-verification", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    return token_in((await server.received(before + 1))[before])


async def reset(client: Client, token: str, secret: str = NEW, **more: Any) -> httpx.Response:
    body = {"token": token, "password": secret, "confirm_password": secret} | more
    return await client.http.put("/password/reset", json=body)


async def verify(client: Client, token: str) -> httpx.Response:
    return await client.http.get("/verify-email", params={"token": token})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


GONE = (410, "token_gone")
NEVER_OURS = (400, "invalid_request")


async def request_reset(client: Client, email: str) -> None:
    """Ask, and do not wait for the mail."""
    assert (await client.http.post("/password/reset-request", json={"email": email})).status_code == 201


async def request_verification(client: Client, email: str) -> None:
    """Ask, and do not wait for the mail."""
    headers = await client.as_user(email)
    assert (await client.http.post("/users/send-verification", headers=headers)).status_code == 200


async def until(rows: Rows, condition: str, count: int = 1) -> None:
    """Until so many mails are as a condition of SQL says."""

    async def there() -> bool:
        return bool(await rows(f"SELECT count(*) FROM mails WHERE {condition}") == [(count,)])

    await eventually(there)


def told_by_us(caplog: pytest.LogCaptureFixture) -> str:
    """What the service has logged; the mail server and the client of the test log what they please."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("usersd"))
