"""Sends bulks of registrations, as callers do and as a server passes them on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from interfaces.http.bulk import Intake
from tests.http.answers import litestar_of
from tests.support.service import Client
from tests.support.waiting import eventually

NDJSON = {"Content-Type": "application/x-ndjson"}


def in_lines(*bodies: Any) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


async def send(client: Client, content: Any, headers: dict[str, str], **more: str) -> list[dict[str, Any]]:
    """Every line of the answer."""
    answer = await client.http.post("/users/bulk", content=content, headers=headers | NDJSON | more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


async def registered(client: Client, body: dict[str, Any]) -> bool:
    return await client.service.bus.ports.accounts.holder("email", body["email"]) is not None


def intake(client: Client) -> Intake:
    found: Intake = litestar_of(client).state["bulk"]
    return found


def after_the_first(
    client: Client, happens: Callable[[], Awaitable[Any]], bodies: list[dict[str, Any]]
) -> AsyncIterator[bytes]:
    """Sends the first line, waits until it is carried out, has something happen, and sends the others."""

    async def made() -> AsyncIterator[bytes]:
        yield in_lines(bodies[0])
        await eventually(lambda: registered(client, bodies[0]))
        await happens()
        yield in_lines(*bodies[1:])

    return made()


class Wired:
    """Calls the application as a server does, with a caller who reads and hangs up when a test says so."""

    def __init__(self, client: Client, headers: dict[str, str], pieces: list[bytes]) -> None:
        self._app: Any = client.http._transport.app  # type: ignore[attr-defined]
        given = headers | NDJSON
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": "/users/bulk", "raw_path": b"/users/bulk", "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1), "server": ("usersd", 80), "root_path": "",
        }  # fmt: skip
        self._pieces = pieces
        self.all_sent = asyncio.Event()
        self.answered = asyncio.Event()
        self.hangs_up = asyncio.Event()
        self.reads = asyncio.Event()
        self.body = b""

    async def call(self) -> list[dict[str, Any]]:
        await self._app(self._scope, self._receive, self._send)
        return [json.loads(line) for line in self.body.splitlines()]

    async def _receive(self) -> dict[str, Any]:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        self.all_sent.set()
        await self.hangs_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
            self.body += message["body"]
            self.answered.set()
