"""A bulk whose process is stopped or killed in the middle: sent again, it goes on with nobody there twice."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg

from tests.support.program import PATIENCE, Program
from tests.support.service import ADMIN, SECRET

LINES = 150
HEADERS = {"Content-Type": "application/x-ndjson", "Idempotency-Key": '"the import of March"'}


def line(number: int) -> bytes:
    account = {"credentials": {"identity": f"user{number}@example.com", "secret": SECRET}}
    return json.dumps(account).encode() + b"\n"


def token(usersd: Program) -> str:
    answer = httpx.post(f"{usersd.url}/users/tokens/issue", json=ADMIN, trust_env=False, timeout=PATIENCE)
    return str(answer.json()["access_token"])


@contextmanager
def bulk(usersd: Program) -> Iterator[socket.socket]:
    """A connection on which a bulk has begun that says itself how long it is."""
    host, port = usersd.url.removeprefix("http://").split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    bearer = f"Authorization: Bearer {token(usersd)}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(f"POST /users/bulk HTTP/1.1\r\nHost: usersd\r\n{head}{bearer}\r\n".encode())
        yield connection


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answers(received: bytes) -> dict[int, dict[str, Any]]:
    """What has come so far of a chunked answer: its whole lines, by number; the last line of all as 0."""
    found = [json.loads(part) for part in received.splitlines() if part[:1] == b"{" and part[-1:] == b"}"]
    return {told.get("line", 0): told for told in found}


def test_a_bulk_that_was_stopped_and_killed_goes_on_and_creates_nobody_twice(usersd: Program) -> None:
    usersd.start()
    with bulk(usersd) as connection:
        connection.sendall(chunk(line(1) + line(2)))
        received = b""
        while not {1, 2} <= answers(received).keys():
            received += connection.recv(1 << 16)
        usersd.terminate()
        while data := connection.recv(1 << 16):
            received += data
    first = answers(received)
    assert [first[number]["status"] for number in (1, 2)] == [201, 201]
    assert (first[0]["complete"], first[0]["status"], first[0]["created"]) == (False, 503, 2)
    assert usersd.wait() == 0
    usersd.start()
    with bulk(usersd) as connection:
        connection.sendall(chunk(b"".join(line(number) for number in range(1, LINES + 1))))
        received = b""
        while len(answers(received)) < 20:
            received += connection.recv(1 << 16)
        usersd.kill()
    second = answers(received)
    usersd.start()
    whole = httpx.post(
        f"{usersd.url}/users/bulk",
        content=b"".join(line(number) for number in range(1, LINES + 1)),
        headers=HEADERS | {"Authorization": f"Bearer {token(usersd)}"},
        trust_env=False,
        timeout=PATIENCE,
    )
    third = answers(whole.content)
    assert third[0]["complete"]
    assert third.keys() == set(range(LINES + 1))
    for number, told in [*first.items(), *second.items()]:
        assert number == 0 or third[number]["id"] == told["id"]
    with psycopg.connect(usersd.postgres) as database:
        events = database.execute("SELECT count(*) FROM events WHERE name = 'users.registered.v1'").fetchone()
    # The first admin registered nobody, and was registered.
    assert events == (LINES + 1,)
