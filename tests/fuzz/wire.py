"""Bytes to a socket and whatever comes back, read without the mercy of an HTTP client."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

PATIENCE = 10.0
"""Seconds within which a connection must have been answered and closed."""

QUIET = 0.25
"""Seconds after which a request that may be incomplete is taken for incomplete, and our side is closed."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")


@dataclass
class Answer:
    """One response. `headers` holds lower-case names; the body is as it was framed."""

    status: int
    head: bytes
    headers: dict[bytes, list[bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return self.headers.get(name, [b""])[0]


@dataclass
class Exchange:
    """What became of a connection: its answers, bytes that are none, and how it ended."""

    answers: list[Answer] = field(default_factory=list)
    rest: bytes = b""
    hung: bool = False
    reset: bool = False
    seconds: float = 0.0


async def exchange(host: str, port: int, sent: bytes, *, whole: bool, bodiless: int) -> Exchange:
    """Send some bytes and read until the service closes the connection.

    `whole` says that a complete last request was sent, `bodiless` how many answers to HEAD come first.
    """
    result = Exchange()
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(_send(writer, sent), _receive(reader, writer, chunks, whole))
    except TimeoutError:
        result.hung = True
    except OSError:
        result.reset = True
    finally:
        writer.transport.abort()
    result.seconds = time.monotonic() - began
    result.answers, result.rest = parsed(b"".join(chunks), bodiless)
    return result


async def _send(writer: asyncio.StreamWriter, sent: bytes) -> None:
    try:
        writer.write(sent)
        await writer.drain()
    except OSError:
        # Refused before it was read to the end, as is the service's right; the answer is what counts.
        return


async def _receive(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chunks: list[bytes], whole: bool
) -> None:
    ended = whole
    while True:
        try:
            async with asyncio.timeout(None if ended else QUIET):
                chunk = await reader.read(65536)
        except TimeoutError:
            ended = True
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()
            continue
        if not chunk:
            return
        chunks.append(chunk)


def parsed(data: bytes, bodiless: int = 0) -> tuple[list[Answer], bytes]:
    """The responses in some bytes, and what is left that is none."""
    answers: list[Answer] = []
    while match := _STATUS.match(data):
        head, parted, after = data.partition(b"\r\n\r\n")
        if not parted:
            break
        status = int(match[1])
        headers = _headers(head)
        no_body = status < 200 or status in (204, 304) or _finals(answers) < bodiless
        body, data = (b"", after) if no_body else _body(headers, after)
        answers.append(Answer(status, head, headers, body))
    return answers, data


def _finals(answers: list[Answer]) -> int:
    return sum(answer.status >= 200 for answer in answers)


def _headers(head: bytes) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def _body(headers: dict[bytes, list[bytes]], data: bytes) -> tuple[bytes, bytes]:
    if b"chunked" in b",".join(headers.get(b"transfer-encoding", [])):
        return _unchunked(data)
    if lengths := headers.get(b"content-length"):
        return data[: int(lengths[0])], data[int(lengths[0]) :]
    return data, b""


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    parts: list[bytes] = []
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts), data.partition(b"\r\n")[2]
        parts.append(data[:size])
        data = data[size + 2 :]
    return b"".join(parts), b""
