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
    """What a run of requests came to; `p95` and `p99` in seconds; `refusal` is the first that failed."""

    per_second: float
    p95: float
    p99: float
    failed: int
    refusal: str = ""


class Answer(msgspec.Struct, frozen=True):
    """One answer: its status line and headers, and its body."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    def header(self, name: str) -> str:
        """The first header of a name, or nothing."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.strip().lower() == name:
                return value.strip()
        return ""


def request(address: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """One HTTP/1.1 request as bytes; a body is JSON unless the headers say otherwise."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(address).netloc}"]
    if body:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer_in(buffer: bytes) -> Answer | None:
    """The answer that has come, once the last of it has. Raises ValueError where its length is not said."""
    head, separator, rest = buffer.partition(b"\r\n\r\n")
    if not separator:
        return None
    lower = head.lower()
    if (at := lower.find(b"content-length:")) >= 0:
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        return Answer(head, rest) if len(rest) >= length else None
    if b"\r\ntransfer-encoding: chunked" in lower:
        return Answer(head, _joined(rest)) if rest.endswith(b"0\r\n\r\n") else None
    if head[9:12] in (b"204", b"304"):
        return Answer(head, b"")
    raise ValueError("the server does not say how long its answer is")


def _joined(chunked: bytes) -> bytes:
    body = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        body += chunked[:length]
        chunked = chunked[length + 2 :] if length else b""
    return body


class _Connection(asyncio.Protocol):
    def __init__(self, raw: bytes, expected: bytes, until: float, follow: Follow | None = None) -> None:
        self.raw, self.expected, self.until, self.follow = raw, expected, until, follow
        self.times: list[float] = []
        self.failed = 0
        self.refusal = ""
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
        if (answer := answer_in(self.buffer)) is None:
            return
        self.times.append(time.perf_counter() - self.sent)
        self.buffer = b""
        if not answer.head.startswith(b"HTTP/1.1 " + self.expected):
            self.failed += 1
            self.refusal = self.refusal or f"{answer.head[9:40]!r} {answer.body[:200]!r}"
        if self.follow is not None:
            self.raw = self.follow(answer.body)
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
    """A connection for each first request, each of whose answers makes the next request.

    `expected` is a status, or the first digit of those that will do.
    """
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
        next((protocol.refusal for protocol in protocols if protocol.refusal), ""),
    )


async def each(address: str, raws: Sequence[bytes], connections: int = 16) -> list[Answer]:
    """Send every request once, on so many connections; the answers in the order of the requests."""
    place = urlsplit(address)
    assert place.hostname
    answers: dict[int, Answer] = {}
    todo = iter(enumerate(raws))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for number, raw in todo:
            writer.write(raw)
            buffer = b""
            while (answer := answer_in(buffer)) is None:
                received = await reader.read(1 << 16)
                if not received:
                    raise ConnectionError("the server closed the connection")
                buffer += received
            answers[number] = answer
        writer.close()

    await asyncio.gather(*(caller() for _ in range(min(connections, len(raws)))))
    return [answers[number] for number in range(len(raws))]
