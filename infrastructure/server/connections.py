"""Closes connections that only hold a place: silent, dribbling, idle, or with an answer that nobody reads.

The HTTP server has one timer of its own, which runs neither before the first byte nor during TLS nor while it
writes, and which cannot tell an idle connection from a slow head.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from infrastructure.server.sockets import AcceptedSockets, Look, Peer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_STREAMS = 200
"""Requests at once on one HTTP/2 connection; further ones are refused, and may be tried again."""

SHARE_OF_TIME = 0.05
"""Looking at all connections takes no larger part of a core than this."""

_OFTEN = 0.02
"""Seconds between two looks at the least."""
_SETTLED = 0.1
"""Seconds after which the HTTP server has surely handed an answer to the kernel."""
_CLOCK_STEP = 0.02
"""Seconds by which the kernel's clock, which counts in ticks, may differ from ours."""

log = logging.getLogger("usersd.http")


class Limits(NamedTuple):
    """Seconds until a connection is closed: for the head of a request, between requests, for an answer.

    An answer that is sent in parts has that time for each of them.
    """

    head: float
    idle: float
    write: float


class _Use:
    """What a connection has been used for."""

    __slots__ = ("ended_at", "in_flight", "multiplexed", "parts", "requests")

    def __init__(self, *, multiplexed: bool) -> None:
        self.multiplexed = multiplexed
        self.requests = 0
        self.parts = 0
        self.in_flight = 0
        self.ended_at = 0.0


class _Watch:
    """Since when a connection has been waited for."""

    __slots__ = ("head_since", "opened_at", "parts", "requests", "write_since")

    def __init__(self, at: float) -> None:
        self.opened_at = at
        self.requests = 0
        self.parts = 0
        self.head_since: float | None = None
        self.write_since: float | None = None


class Connections:
    """An ASGI layer that knows which connection has a request in flight, and the watch that needs it."""

    def __init__(self, app: Callable[[Any, Receive, Send], Awaitable[None]], limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._uses: dict[Peer, _Use] = {}
        self._watches: dict[int, _Watch] = {}
        self._draining = asyncio.Event()
        self._ending = False
        self._letting_go: list[tuple[set[Peer], asyncio.Event]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        use = self._uses.get(scope["client"])
        if use is None:
            use = self._uses[scope["client"]] = _Use(multiplexed=scope["http_version"] == "2")
        use.requests += 1
        if use.multiplexed and use.in_flight >= MAX_STREAMS:
            # Whoever takes requests back makes room for others, and ours go on (CVE-2023-44487).
            await _refuse(send)
            return
        use.in_flight += 1

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and (self._ending or self._letting_go):
                self._let_go(scope, use, message)
            await send(message)
            # The server takes a part when the connection has taken those before it, but for a few.
            if message.get("more_body"):
                use.parts += 1

        try:
            await self._app(scope, receive, counted)
        finally:
            use.in_flight -= 1
            use.ended_at = monotonic()

    def let_go(self, peers: set[Peer]) -> asyncio.Event:
        """Close each of these connections with its next answer, and say so there; set when all have gone.

        Those of HTTP/2 stay for as long as they are used.
        """
        gone = asyncio.Event()
        self._letting_go.append((set(peers), gone))
        return gone

    def announce_end(self) -> None:
        """Close every connection with its next answer, and say so there."""
        self._ending = True

    def drain(self) -> None:
        """From now on, close at once what has no request in flight."""
        self._ending = True
        self._draining.set()

    def _let_go(self, scope: Message, use: _Use, message: Message) -> None:
        # HTTP/2 has its own word for it, which the server says.
        if use.multiplexed:
            return
        if not self._ending and not any(scope["client"] in those for those, _ in self._letting_go):
            return
        others = [header for header in message["headers"] if header[0].lower() != b"connection"]
        message["headers"] = [*others, (b"connection", b"close")]

    async def watch(self, sockets: AcceptedSockets) -> None:
        """Look again and again, until cancelled."""
        often = min(1.0, max(_OFTEN, min(self._limits) / 5))
        while True:
            started = monotonic()
            looks = await asyncio.to_thread(sockets.look)
            for look in looks:
                if verdict := self._verdict(look):
                    log.debug("closed a connection: %s", verdict)
                    sockets.close(look, drop=look.undelivered)
            self._forget(looks, started)
            await self._pause(max(often, (monotonic() - started) / SHARE_OF_TIME))

    async def _pause(self, seconds: float) -> None:
        if self._draining.is_set():
            await asyncio.sleep(_OFTEN)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    def _verdict(self, look: Look) -> str | None:
        """Why a connection is to be closed; None where it may stay."""
        watch = self._watches.get(look.inode)
        if watch is None:
            watch = self._watches[look.inode] = _Watch(look.received_at)
        use = self._uses.get(look.peer)
        requests = use.requests if use else 0
        if watch.requests != requests:
            watch.requests, watch.head_since, watch.write_since = requests, None, None
        if use and watch.parts != use.parts:
            watch.parts, watch.write_since = use.parts, None
        if look.undelivered:
            watch.write_since = watch.write_since or look.at
            late = look.at - watch.write_since > self._limits.write
            return "an answer was not read in time" if late else None
        watch.write_since = None
        if use is None:
            return self._before_the_first_request(look, watch)
        return None if use.in_flight else self._between_requests(look, watch, use)

    def _before_the_first_request(self, look: Look, watch: _Watch) -> str | None:
        waited = look.at - watch.opened_at
        late = waited > (_SETTLED if self._draining.is_set() else self._limits.head)
        return "no request came in time" if late else None

    def _between_requests(self, look: Look, watch: _Watch, use: _Use) -> str | None:
        waited = look.at - use.ended_at
        if waited > (_SETTLED if self._draining.is_set() else self._limits.idle):
            return "it was idle"
        if use.multiplexed or look.received_at < use.ended_at + _CLOCK_STEP:
            return None
        watch.head_since = watch.head_since or look.at
        late = look.at - watch.head_since > self._limits.head
        return "the head of a request did not come in time" if late else None

    def _forget(self, looks: list[Look], started: float) -> None:
        """Drop what is known of connections that have gone."""
        inodes = {look.inode for look in looks}
        peers = {look.peer for look in looks}
        self._watches = {inode: watch for inode, watch in self._watches.items() if inode in inodes}
        for those, gone in list(self._letting_go):
            those.intersection_update(peers)
            if not those:
                gone.set()
                self._letting_go.remove((those, gone))
        for peer, use in list(self._uses.items()):
            # One that came after the look is not among them, and has not gone.
            if peer not in peers and not use.in_flight and use.ended_at < started:
                del self._uses[peer]


async def _refuse(send: Send) -> None:
    headers = [(b"retry-after", b"1"), (b"server", b"usersd")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
