"""A client that keeps so many connections busy with one prepared request: plain sockets, no HTTP library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import msgspec

CONNECTIONS = 32


Follow = Callable[[bytes], bytes]
"""Makes the next request of a connection of the body that answered the last."""


class Load(msgspec.Struct, frozen=True):
    """What a run of requests came to; `p95` and `p99` in seconds."""

    per_second: float
    p95: float
    p99: float
    failed: int


def request(address: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """One HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(address).netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, raw: bytes, expected: bytes, until: float, follow: Follow | None = None) -> None:
        self.raw, self.expected, self.until, self.follow = raw, expected, until, follow
        self.times: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.raw)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self.times.append(time.perf_counter() - self.sent)
        self.failed += not head.startswith(b"HTTP/1.1 " + self.expected)
        self.buffer = b""
        if self.follow is not None:
            self.raw = self.follow(rest)
        if time.perf_counter() < self.until:
            self._send()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def busy(
    address: str, raw: bytes, *, expected: int = 200, seconds: float = 4.0, connections: int = CONNECTIONS
) -> Load:
    """Send a request over and over on so many connections."""
    return await chained(address, [raw] * connections, None, expected=expected, seconds=seconds)


async def paced(address: str, raw: bytes, *, per_second: float, seconds: float, expected: int = 200) -> Load:
    """Send a request at fixed times, answered or not; each is timed from when it was due."""
    place = urlsplit(address)
    assert place.hostname
    started = asyncio.get_running_loop().time()
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    times: list[float] = []
    failed = 0

    async def one(due: float) -> None:
        nonlocal failed
        reader, writer = free.pop() if free else await asyncio.open_connection(place.hostname, place.port)
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        times.append(asyncio.get_running_loop().time() - due)
        failed += not head.startswith(b"HTTP/1.1 " + str(expected).encode())
        free.append((reader, writer))

    sent: list[asyncio.Task[None]] = []
    for number in range(int(per_second * seconds)):
        due = started + number / per_second
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        sent.append(asyncio.create_task(one(due)))
    await asyncio.gather(*sent)
    for _, writer in free:
        writer.close()
    times.sort()
    return Load(len(times) / seconds, times[int(len(times) * 0.95)], times[int(len(times) * 0.99)], failed)


async def chained(
    address: str, raws: Sequence[bytes], follow: Follow | None, *, expected: int, seconds: float
) -> Load:
    """A connection for each first request, each of whose answers makes the next request."""
    place = urlsplit(address)
    assert place.hostname
    assert place.port
    started = time.perf_counter()
    until = started + seconds
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            partial(_Connection, raw, str(expected).encode(), until, follow), place.hostname, place.port
        )
        for raw in raws
    ]
    protocols = [protocol for _, protocol in made]
    await asyncio.gather(*[protocol.done for protocol in protocols])
    elapsed = time.perf_counter() - started
    times = sorted(taken for protocol in protocols for taken in protocol.times)
    return Load(
        len(times) / elapsed,
        times[int(len(times) * 0.95)],
        times[int(len(times) * 0.99)],
        sum(protocol.failed for protocol in protocols),
    )
