"""SIGTERM while clients are slow: those get their time, nobody gets more, and the exit code is 0."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.support.program import Program, program
from tests.support.waiting import at_last

PART = (
    b"POST /users HTTP/1.1\r\nHost: usersd\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
)
WHOLE = b"GET /livez HTTP/1.1\r\nHost: usersd\r\n\r\n"


def _connection(usersd: Program) -> socket.socket:
    host, port = usersd.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@contextmanager
def _slow_body(usersd: Program) -> Iterator[socket.socket]:
    """A connection whose request is in flight, and another that has been answered since and stays open."""
    with _connection(usersd) as slow, _connection(usersd) as idle:
        slow.sendall(PART)
        idle.sendall(WHOLE)
        assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        yield slow


def test_it_is_unready_and_serves_on_until_others_know() -> None:
    with program(MG_USERS_SHUTDOWN_DELAY="10m") as usersd:
        usersd.start()
        usersd.terminate()
        at_last(lambda: httpx.get(f"{usersd.url}/readyz", trust_env=False).status_code == 503)
        answer = httpx.get(f"{usersd.url}/readyz", trust_env=False)
        assert answer.json()["checks"]["process"] == "it is stopping"
        assert answer.headers["connection"] == "close"
        assert httpx.get(f"{usersd.url}/.well-known/jwks.json", trust_env=False).status_code == 200
        # Who cannot wait says so a second time.
        usersd.terminate()
        assert usersd.wait(30) == 0


def test_a_body_that_never_ends_holds_up_a_stop_for_its_own_time_only() -> None:
    with program(MG_USERS_HTTP_SERVER_READ_TIMEOUT="2s", MG_USERS_SHUTDOWN_TIMEOUT="60s") as usersd:
        usersd.start()
        with _slow_body(usersd) as slow:
            started = time.monotonic()
            usersd.terminate()
            assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
            assert usersd.wait() == 0
            assert time.monotonic() - started < 30


def test_what_takes_longer_than_the_time_for_stopping_is_cut_off() -> None:
    with program(MG_USERS_HTTP_SERVER_READ_TIMEOUT="10m", MG_USERS_SHUTDOWN_TIMEOUT="1s") as usersd:
        usersd.start()
        with _slow_body(usersd) as slow:
            usersd.terminate()
            with suppress(ConnectionResetError):
                assert slow.recv(1 << 16) == b""
            assert usersd.wait(30) == 0
