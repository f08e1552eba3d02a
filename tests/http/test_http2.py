"""What HTTP/2 offers those who mean harm, and where it ends for them; everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from infrastructure.server.connections import MAX_STREAMS
from tests.support.applications import Telling
from tests.support.http2 import http2
from tests.support.listening import Listening, listening

MAX_HEADER_BYTES = 16_384
REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11
CONCURRENT_STREAMS, HEADER_LIST_SIZE = 3, 6


@pytest.fixture
def app() -> Telling:
    return Telling()


@pytest.fixture
async def server(app: Telling) -> AsyncIterator[Listening]:
    async with listening(app, MG_USERS_HTTP_SERVER_MAX_HEADER_BYTES=str(MAX_HEADER_BYTES)) as made:
        yield made
        app.go.set()


async def serves_on(server: Listening) -> bool:
    """Whether somebody else is answered."""
    async with http2(server.port) as other:
        return await other.status(other.ask("/")) == 200


async def test_the_limits_are_told_at_the_beginning(server: Listening) -> None:
    async with http2(server.port) as wire:
        assert wire.settings[CONCURRENT_STREAMS] == MAX_STREAMS
        assert wire.settings[HEADER_LIST_SIZE] == MAX_HEADER_BYTES


async def test_more_requests_at_once_than_allowed_are_refused_and_the_others_answered(
    server: Listening, app: Telling
) -> None:
    async with http2(server.port) as wire:
        # Who ignores the limit before it is acknowledged is refused stream by stream.
        asked = [wire.ask("/waits") for _ in range(MAX_STREAMS + 20)]
        await wire.until("len(c.resets) >= 20")
        assert wire.closed or set(wire.resets.values()) == {REFUSED_STREAM}
        assert app.calls <= MAX_STREAMS
        assert await serves_on(server)
        app.go.set()
        if not wire.closed:
            assert await wire.status(asked[0]) == 200


@pytest.mark.parametrize("pause", [0.0, 0.001], ids=["at once", "little by little"])
async def test_requests_that_are_taken_back_start_no_more_work_than_those_that_are_not(
    server: Listening, app: Telling, pause: float
) -> None:
    async with http2(server.port) as wire:
        for _ in range(100):
            for _ in range(10):
                stream = wire.ask("/waits")
                wire.send(RstStreamFrame(stream, error_code=8))
            await asyncio.sleep(pause)
            if wire.closed:
                break
        assert app.calls <= MAX_STREAMS
        assert await serves_on(server)


async def test_a_header_list_that_is_too_large_is_refused(server: Listening, app: Telling) -> None:
    async with http2(server.port) as wire:
        stream = wire.ask("/", [(f"x-{number}", "a" * 100) for number in range(150)])
        assert await wire.status(stream) == 431
    async with http2(server.port) as wire:
        # Compressed it is small: the same line again and again.
        wire.ask("/", [("x-large", "a" * 1_000)] * 1_000)
        await wire.until("c.goaways")
        assert wire.goaways[-1].error_code == ENHANCE_YOUR_CALM
    assert app.calls == 0
    assert await serves_on(server)


async def test_headers_that_go_on_for_ever_end_the_connection(server: Listening, app: Telling) -> None:
    async with http2(server.port) as wire:
        stream = wire.next_stream()
        wire.send(HeadersFrame(stream, wire.head("/"), flags=["END_STREAM"]))
        for _ in range(2_000):
            # A literal that is not kept (RFC 7541 section 6.2.2).
            wire.send(ContinuationFrame(stream, b"\x00\x01x\x7f\x81\x07" + b"a" * 1_024))
        await wire.until("c.goaways")
        assert app.calls == 0
        assert await serves_on(server)


@pytest.mark.parametrize(
    "frame", [PingFrame(opaque_data=b"12345678"), SettingsFrame()], ids=["ping", "settings"]
)
async def test_questions_that_only_cost_answers_hold_up_nobody(server: Listening, frame: Frame) -> None:
    async with http2(server.port) as wire:
        for _ in range(5_000):
            wire.send(frame)
        assert await serves_on(server)


async def test_an_address_that_is_too_long_is_414(app: Telling) -> None:
    async with listening(app) as roomy, roomy.wire() as wire:
        await wire.send(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: usersd\r\n\r\n")
        assert (await wire.answer())[0] == 414
    assert app.calls == 0
