"""One line per request; lines are gathered for a moment, because writing each costs as much as a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

FLUSH_AFTER = 0.1
"""Seconds that a line waits at most."""

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The methods that are named (RFC 9110 section 9, RFC 5789); another word in their place may be a secret."""


PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a request: the route's template, never the path or the query that were sent."""

    time: datetime
    level: str = "INFO"
    msg: str
    logger: str = "usersd.access"
    method: str
    route: str
    status: int
    seconds: float
    request_id: str


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a call over gRPC: its method and the name of its status."""

    time: datetime
    level: str = "INFO"
    msg: str
    logger: str = "usersd.access"
    rpc: str
    code: str
    seconds: float
    request_id: str


class AccessLog:
    """Hands lines of JSON to `write`; `marks` stand in each, and say which process wrote it."""

    def __init__(self, write: Callable[[bytes], object], marks: Mapping[str, str] | None = None) -> None:
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        # Made once: it takes the place of the brace that ends every line.
        self._ending = b"," + msgspec.json.encode(marks)[1:] if marks else b"}"
        self._lines: list[bytes] = []

    def add(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """Note a request that was answered; of probes, which come every few seconds, only those that fail."""
        if route in PROBES and status < 400:
            return
        line = Line(
            time=datetime.now(UTC),
            msg="answered",
            method=method if method in METHODS else "other",
            route=route,
            status=status,
            seconds=round(seconds, 6),
            request_id=request_id,
        )
        self._keep(line)

    def add_call(self, rpc: str, code: str, seconds: float, request_id: str) -> None:
        """Note a call over gRPC that has ended."""
        line = CallLine(
            time=datetime.now(UTC),
            msg="answered",
            rpc=rpc,
            code=code,
            seconds=round(seconds, 6),
            request_id=request_id,
        )
        self._keep(line)

    def _keep(self, line: msgspec.Struct) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_AFTER, self.flush)
        self._lines.append(self._encode(line)[:-1] + self._ending)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._write(b"\n".join([*lines, b""]))
