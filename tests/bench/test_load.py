"""The load generator, against a server that counts too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.load import answer_in, busy, chained, each, request

Reply = Callable[[int, bytes], bytes]


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers its n-th request with `reply(n, body)`, and what it was sent."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                seen.append(await reader.readexactly(int(length or 0)))
                writer.write(reply(len(seen), seen[-1]))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


def answer(status: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_every_answer_is_counted_and_each_refusal_is() -> None:
    def reply(number: int, _: bytes) -> bytes:
        return answer("503 Service Unavailable", b"busy") if number % 3 == 0 else answer("200 OK")

    async with serving(reply) as (address, seen):
        load = await busy(address, request(address, "GET", "/", {}), seconds=0.1, connections=4)

    assert load.failed == len(seen) // 3
    assert "503" in load.refusal
    assert "busy" in load.refusal
    assert load.per_second <= len(seen) / 0.1


async def test_each_answer_makes_the_next_request_of_its_connection() -> None:
    async with serving(lambda _, body: answer("201 Created", body + b"x")) as (address, seen):
        load = await chained(
            address,
            [request(address, "POST", "/", {}, b"first")],
            lambda body: request(address, "POST", "/", {}, body),
            expected=2,
            seconds=0.05,
        )

    assert load.failed == 0
    assert seen == [b"first" + b"x" * number for number in range(len(seen))]


async def test_answers_come_in_the_order_of_the_requests() -> None:
    async with serving(lambda _, body: answer("200 OK", body)) as (address, seen):
        raws = [request(address, "POST", "/", {}, str(number).encode()) for number in range(40)]
        answers = await each(address, raws, connections=5)

    assert [int(one.body) for one in answers] == list(range(40))
    assert len(seen) == 40


def test_an_answer_is_whole_only_when_its_last_byte_has_come() -> None:
    whole = answer("200 OK", b"hello")
    assert [answer_in(whole[:length]) is None for length in range(len(whole))] == [True] * len(whole)
    found = answer_in(whole)
    assert found is not None
    assert (found.status, found.body) == (200, b"hello")


def test_an_answer_in_chunks_is_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b; Path=/\r\n\r\n"
    assert answer_in(head + b"5\r\nhello\r\n") is None
    found = answer_in(head + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
    assert found is not None
    assert found.body == b"hello!"
    assert found.header("set-cookie") == "a=b; Path=/"


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="how long"):
        answer_in(b"HTTP/1.1 200 OK\r\n\r\nwho knows")
