"""What the storm does to networks and clocks really happens: a fault that is none would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.network import Link
from tests.chaos.shifting import Clock
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]

_TELLS_THE_TIME = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
before = time.time(), datetime.now(UTC), time.monotonic()
from tests.chaos.shifting import shift
shift(Path(sys.argv[1]))
print(time.time() - before[0], (datetime.now(UTC) - before[1]).total_seconds(), time.monotonic() - before[2],
      type(datetime.now()) is datetime)
"""


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[Link, list[bytes]]]:
    """A link to a server that answers with what it hears, and all that it has heard."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                heard.append(data)
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(lambda: asyncio.open_connection("127.0.0.1", port))
    await link.start()
    try:
        yield link, heard
    finally:
        await link.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def connected(link: Link) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> None:
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)


async def test_a_cut_ends_connections_and_refuses_new_ones() -> None:
    async with echo() as (link, _), connected(link) as (reader, writer):
        writer.write(b"one")
        assert await reader.read(100) == b"one"
        link.become("cut")
        await ended(reader)
        async with connected(link) as (another, _):
            await ended(another)


async def test_what_was_stalled_arrives_when_it_is_over() -> None:
    async with echo() as (link, heard), connected(link) as (reader, writer):
        writer.write(b"one")
        assert await reader.read(100) == b"one"
        link.become("stalled")
        writer.write(b"two")
        await writer.drain()
        assert heard == [b"one"]
        link.become("fair")
        assert await reader.read(100) == b"two"


async def test_what_is_asked_of_the_deaf_is_done_and_never_answered() -> None:
    async with echo() as (link, heard), connected(link) as (reader, writer):
        link.become("deaf")
        writer.write(b"one")

        async def done() -> bool:
            return heard == [b"one"]

        await eventually(done)
        link.become("fair")
        await ended(reader)


def test_a_wrong_clock_is_believed_and_durations_are_not_touched(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    clock.set(-3600)
    done = subprocess.run(
        [sys.executable, "-c", _TELLS_THE_TIME, str(clock.file)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    by_time, by_date, duration, kind = done.stdout.split()
    assert float(by_time) == pytest.approx(-3600, abs=60)
    assert float(by_date) == pytest.approx(-3600, abs=60)
    assert 0 <= float(duration) < 60
    assert kind == "True"
