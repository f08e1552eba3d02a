"""Clients that only hold a place: each is let go in its time, and none that has a request in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from infrastructure.server.sockets import CAN_LOOK
from tests.support.certificates import self_signed
from tests.support.listening import PATIENCE, Listening, Wire, listening
from tests.support.waiting import eventually

HEAD, IDLE, WRITE = 0.4, 2.5, 0.4
"""Seconds. The server closes what is idle for longer than head and idle together by itself."""
LARGE = 40_000_000
PARTS = 80
GET = b"GET /small HTTP/1.1\r\nHost: usersd\r\n\r\n"

pytestmark = pytest.mark.skipif(not CAN_LOOK, reason="connections are watched on Linux only")


class App:
    """Answers at once, with a large body, or when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        self.asked.set()
        if scope["path"] == "/waits":
            await self.go.wait()
        if scope["path"] == "/parts":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for self.sent in range(1, PARTS + 1):
                await send({"type": "http.response.body", "body": b"x" * (LARGE // PARTS), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body = b"x" * (LARGE if scope["path"] == "/large" else 2)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def strict(app: App) -> AsyncIterator[Listening]:
    """A server with short limits."""
    limits = {
        "MG_USERS_HTTP_SERVER_READ_HEADER_TIMEOUT": f"{HEAD}s",
        "MG_USERS_HTTP_SERVER_IDLE_TIMEOUT": f"{IDLE}s",
        "MG_USERS_HTTP_SERVER_WRITE_TIMEOUT": f"{WRITE}s",
    }
    async with listening(app, **limits) as made:
        yield made


async def _answered(wire: Wire) -> None:
    await wire.send(GET)
    assert (await wire.answer())[0] == 200


async def test_a_connection_that_says_nothing_is_closed_after_the_time_for_headers(strict: Listening) -> None:
    async with strict.wire() as wire:
        assert HEAD * 0.9 < await wire.seconds_until_closed() < IDLE


async def test_a_handshake_that_never_begins_is_not_waited_for(app: App, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = {"MG_USERS_HTTP_SERVER_CERT": str(certificate), "MG_USERS_HTTP_SERVER_KEY": str(key)}
    head = {"MG_USERS_HTTP_SERVER_READ_HEADER_TIMEOUT": f"{HEAD}s"}
    async with listening(app, **tls, **head) as strict, strict.wire() as wire:
        assert HEAD * 0.9 < await wire.seconds_until_closed() < IDLE


@pytest.mark.parametrize("used_before", [False, True])
async def test_headers_that_dribble_in_are_not_waited_for(strict: Listening, used_before: bool) -> None:
    async with strict.wire() as wire:
        if used_before:
            await _answered(wire)
        await asyncio.sleep(0.05)
        dribbling = asyncio.create_task(_dribble(wire, b"GET /small HTTP/1.1\r\nX-Slow: ", b"a"))
        assert HEAD * 0.9 < await wire.seconds_until_closed() < IDLE
        await dribbling


async def test_an_idle_connection_is_kept_for_the_idle_time_and_not_longer(strict: Listening) -> None:
    async with strict.wire() as wire:
        await _answered(wire)
        assert IDLE * 0.9 < await wire.seconds_until_closed() < IDLE + HEAD


async def test_a_connection_that_is_used_now_and_then_stays_open(strict: Listening) -> None:
    async with strict.wire() as wire:
        for _ in range(4):
            await _answered(wire)
            await asyncio.sleep(HEAD * 1.5)
        await _answered(wire)


async def test_a_request_in_flight_is_never_too_slow(strict: Listening, app: App) -> None:
    async with strict.wire() as wire:
        await wire.send(b"GET /waits HTTP/1.1\r\nHost: usersd\r\n\r\n")
        await app.asked.wait()
        await asyncio.sleep(IDLE + 2 * HEAD)
        app.go.set()
        assert (await wire.answer())[0] == 200
        await _answered(wire)


async def test_an_answer_that_nobody_reads_is_dropped(strict: Listening) -> None:
    async with strict.wire(receive_buffer=4096) as wire:
        await wire.send(b"GET /large HTTP/1.1\r\nHost: usersd\r\n\r\n")
        await eventually(lambda: _holds_no_connection(strict))
        assert len(await wire.rest()) < LARGE


async def test_an_answer_in_parts_may_take_as_long_as_its_parts_are_read(strict: Listening) -> None:
    async with strict.wire(receive_buffer=1 << 16) as wire:
        await wire.send(b"GET /parts HTTP/1.1\r\nHost: usersd\r\nConnection: close\r\n\r\n")
        received, started = 0, monotonic()
        while data := await wire.reader.read(1 << 20):
            received += len(data)
            await asyncio.sleep(max(0.0, 4 * WRITE * received / LARGE - (monotonic() - started)))
        assert received > LARGE
        assert monotonic() - started > 3 * WRITE


async def test_an_answer_in_parts_that_nobody_reads_is_neither_made_to_its_end_nor_kept(
    strict: Listening, app: App
) -> None:
    async with strict.wire(receive_buffer=4096) as wire:
        await wire.send(b"GET /parts HTTP/1.1\r\nHost: usersd\r\n\r\n")
        await app.asked.wait()
        await asyncio.sleep(WRITE / 2)
        assert app.sent < PARTS / 2
        await eventually(lambda: _holds_no_connection(strict))
        assert len(await wire.rest()) < LARGE


async def test_an_answer_that_is_read_arrives_whole(strict: Listening) -> None:
    async with strict.wire() as wire:
        await wire.send(b"GET /large HTTP/1.1\r\nHost: usersd\r\nConnection: close\r\n\r\n")
        assert len(await wire.rest()) > LARGE


async def test_stopping_waits_for_nobody_who_has_asked_nothing(app: App) -> None:
    async with (
        listening(app) as patient,
        patient.wire() as silent,
        patient.wire() as begun,
        patient.wire() as idle,
    ):
        await _answered(idle)
        await begun.send(b"GET /small HTT")
        await asyncio.wait_for(patient.server.stop(PATIENCE), PATIENCE / 4)
        assert [await wire.rest() for wire in (silent, begun, idle)] == [b""] * 3


async def test_stopping_finishes_what_was_asked(app: App) -> None:
    async with listening(app) as patient, patient.wire() as wire:
        await wire.send(b"GET /waits HTTP/1.1\r\nHost: usersd\r\n\r\n")
        await app.asked.wait()
        stopping = asyncio.create_task(patient.server.stop(PATIENCE))
        await asyncio.sleep(0.3)
        assert not stopping.done()
        app.go.set()
        assert (await wire.answer())[0] == 200
        await asyncio.wait_for(stopping, PATIENCE / 4)


async def test_stopping_cuts_off_an_answer_that_nobody_reads(app: App) -> None:
    async with listening(app) as patient, patient.wire(receive_buffer=4096) as wire:
        await wire.send(b"GET /large HTTP/1.1\r\nHost: usersd\r\n\r\n")
        await app.asked.wait()
        await asyncio.wait_for(patient.server.stop(0.5), PATIENCE / 4)
        assert len(await wire.rest()) < LARGE


async def _dribble(wire: Wire, first: bytes, more: bytes) -> None:
    with suppress(ConnectionError):
        await wire.send(first)
        while not wire.writer.is_closing():
            await asyncio.sleep(0.05)
            await wire.send(more)


async def _holds_no_connection(server: Listening) -> bool:
    return not await asyncio.to_thread(server.sockets.look)
