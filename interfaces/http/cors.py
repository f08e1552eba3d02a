"""Lets scripts of listed web origins call the service (the CORS protocol of the Fetch standard)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

ANY = "*"
MAX_AGE = 600
"""Seconds that a browser may remember a preflight."""

METHODS = "GET, POST, PUT, PATCH, DELETE"
SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, traceparent, tracestate, "
    "Usersd-Position, X-Request-ID"
)
EXPOSED = (
    "Allow, ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, Usersd-Position, "
    "Usersd-Read-Model, WWW-Authenticate, X-Request-ID"
)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VARY = (b"vary", b"Origin")


class Cors:
    """An ASGI layer that marks answers to allowed origins, refusals too, and answers their preflights.

    It never allows credentials: callers show a bearer token, which a script adds itself.
    """

    def __init__(self, app: Application, origins: Sequence[str]) -> None:
        self._app = app
        self._any = ANY in origins
        self._origins = {serialised(origin) for origin in origins if origin != ANY}
        self._always = [] if self._any else [_VARY]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = wanted = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"access-control-request-method":
                wanted = value
        allowed = self._marks(origin)
        if allowed and wanted and scope["method"] == "OPTIONS":
            await _answer_preflight([*allowed, *self._always], send)
            return
        marks = [*allowed, *self._always]
        if allowed:
            marks.append((b"access-control-expose-headers", EXPOSED.encode()))

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        await self._app(scope, receive, marked)

    def _marks(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """What tells a browser that this origin may read the answer; empty where it may not."""
        if origin is None:
            return []
        if self._any:
            return [(b"access-control-allow-origin", ANY.encode())]
        if origin.decode("latin-1") in self._origins:
            return [(b"access-control-allow-origin", origin)]
        return []


def serialised(origin: str) -> str:
    """An origin as browsers write it (RFC 6454 section 6.2): in small letters, without a default port."""
    url = urlsplit(origin.lower())
    standard = url.port == _DEFAULT_PORTS.get(url.scheme)
    return f"{url.scheme}://{url.netloc.rpartition(':')[0] if standard else url.netloc}"


async def _answer_preflight(marks: list[tuple[bytes, bytes]], send: Send) -> None:
    headers = [
        *marks,
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", SENT.encode()),
        (b"access-control-max-age", str(MAX_AGE).encode()),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
