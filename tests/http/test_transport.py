"""What the bare connection shows: slow bodies, large headers, who serves, and where a request comes from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from litestar import Request, get
from litestar.datastructures import State

from interfaces.http.caller import address_of
from tests.http.answers import PROBLEM_KEYS
from tests.support.listening import Listening, Wire, listening_service

READ = 0.3
"""Seconds that a body may take."""
MAX_HEADER_BYTES = 16_384
JWKS = b"/.well-known/jwks.json"
POST = b"POST /users HTTP/1.1\r\nHost: usersd\r\nContent-Type: application/json\r\n"


@get("/where", opt={"undocumented": True})
async def where(request: Request[Any, Any, State]) -> dict[str, str]:
    """The address of the caller."""
    return {"address": str(address_of(request))}


@pytest.fixture
async def strict(database: str) -> AsyncIterator[Listening]:
    environ = {
        "MG_USERS_HTTP_SERVER_READ_TIMEOUT": f"{READ}s",
        "MG_USERS_HTTP_SERVER_MAX_HEADER_BYTES": str(MAX_HEADER_BYTES),
        "MG_USERS_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    async with listening_service(database, [where], **environ) as made:
        yield made


@pytest.mark.parametrize("framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_dribbles_in_is_408_and_the_connection_is_closed(
    strict: Listening, framing: bytes
) -> None:
    async with strict.wire() as wire:
        await wire.send(POST + framing + b"\r\n\r\n")
        dribbling = asyncio.create_task(_dribble(wire, b" " if b"Length" in framing else b"1\r\n \r\n"))
        status, headers, body = await wire.answer()
        assert status == 408
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert set(json.loads(body)) == PROBLEM_KEYS
        assert json.loads(body)["code"] == "body_too_slow"
        assert await wire.rest() == b""
        await dribbling


async def test_a_body_that_nobody_asked_for_is_not_waited_for(strict: Listening) -> None:
    async with strict.wire() as wire:
        await wire.send(b"GET /livez HTTP/1.1\r\nHost: usersd\r\nContent-Length: 5000\r\n\r\n ")
        assert (await wire.answer())[0] == 200
        await wire.rest()


async def test_headers_that_are_too_large_are_refused_without_a_word_of_ours(strict: Listening) -> None:
    for lines in (
        b"X-Large: " + b"a" * MAX_HEADER_BYTES,
        b"\r\n".join(b"X-%d: a" % number for number in range(101)),
    ):
        async with strict.wire() as wire:
            await wire.send(b"GET /livez HTTP/1.1\r\nHost: usersd\r\n" + lines + b"\r\n\r\n")
            status, headers, body = await wire.answer()
            assert (status, body) == (431, b"")
            assert "server" not in headers
            await wire.rest()


async def test_headers_within_the_limit_are_read(strict: Listening) -> None:
    async with strict.wire() as wire:
        large = b"a" * (MAX_HEADER_BYTES - 1000)
        await wire.send(b"GET /livez HTTP/1.1\r\nHost: usersd\r\nX-Large: " + large + b"\r\n\r\n")
        assert (await wire.answer())[0] == 200


async def test_no_answer_names_the_http_server_that_is_used(strict: Listening) -> None:
    async with strict.wire() as wire:
        for path in (b"/livez", b"/users/profile", b"/nowhere"):
            await wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: usersd\r\n\r\n")
            assert (await wire.answer())[1]["server"] == "usersd"


async def test_a_handler_learns_the_address_that_a_trusted_proxy_tells(strict: Listening) -> None:
    async with strict.wire() as wire:
        await wire.send(b"GET /where HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\r\n")
        assert json.loads((await wire.answer())[2]) == {"address": "203.0.113.7"}
        await wire.send(b"GET /where HTTP/1.1\r\nHost: a\r\n\r\n")
        assert json.loads((await wire.answer())[2]) == {"address": "127.0.0.1"}


async def test_no_proxy_changes_what_addresses_begin_with(strict: Listening) -> None:
    """Whoever is asked by another name or scheme than MG_USERS_PUBLIC_URL answers as always."""
    told = b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: proto=https;host=evil"
    for path in (b"/users/oauth/metadata", b"/.well-known/oauth-authorization-server", b"/docs", b"/health"):
        async with strict.wire() as wire:
            ask = b"GET " + path + b" HTTP/1.1\r\nHost: evil.example\r\n"
            await wire.send(ask + b"X-Forwarded-For: 203.0.113.7\r\n" + told + b"\r\n\r\n")
            _, headers, body = await wire.answer()
            assert b"evil" not in body
            assert not any("evil" in value for value in headers.values())
            # It is for the proxy to promise what it keeps.
            assert "strict-transport-security" not in headers


async def test_what_does_not_say_otherwise_is_kept_by_nobody(strict: Listening) -> None:
    async with strict.wire() as wire:
        for path, kept in ((b"/users/profile", "no-store"), (b"/nowhere", "no-store"), (JWKS, "public")):
            await wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: usersd\r\n\r\n")
            assert (await wire.answer())[1]["cache-control"].startswith(kept)


async def _dribble(wire: Wire, more: bytes) -> None:
    with suppress(ConnectionError):
        while not wire.writer.is_closing():
            await wire.send(more)
            await asyncio.sleep(0.05)
