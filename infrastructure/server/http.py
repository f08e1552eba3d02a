"""The HTTP server: granian in this process and on this event loop, and the limits it does not keep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from typing import Any

from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from infrastructure.server.connections import Connections, Limits
from infrastructure.server.sockets import CAN_LOOK, AcceptedSockets
from infrastructure.settings import Settings

MAX_CONNECTIONS = 16_384
"""Open connections at once; further ones wait to be accepted."""

_OTHER_FILES = 512
"""Descriptors that are left for everything that is no HTTP connection."""
_SMALLEST_BUFFER = 8192
"""The server knows no smaller one."""
_LAST_MOMENT = 2.0
"""Seconds that the server gets to end once every connection is closed."""

log = logging.getLogger("usersd.http")


class HttpServer:
    """Serves an ASGI application on an address until it is stopped."""

    def __init__(self, app: Any, settings: Settings, host: str, port: int) -> None:
        head = settings.http_read_header_timeout.total_seconds()
        idle = settings.http_idle_timeout.total_seconds()
        write = settings.http_write_timeout.total_seconds()
        self._connections = Connections(app, Limits(head, idle, write)) if CAN_LOOK else None
        self._sockets = AcceptedSockets(port)
        self._server = Server(
            self._connections or app,
            address=host,
            port=port,
            interface="asgi",  # type: ignore[arg-type]
            websockets=False,
            log_enabled=False,
            backlog=1024,
            backpressure=_connections_allowed(),
            http1_settings=HTTP1Settings(
                # It runs between requests too; where connections are watched, the watch is the finer one.
                header_read_timeout=round((head + idle if CAN_LOOK else head) * 1000),
                max_buffer_size=max(_SMALLEST_BUFFER, settings.http_max_header_bytes),
            ),
            http2_settings=HTTP2Settings(max_headers_size=settings.http_max_header_bytes),
            ssl_cert=settings.http_server_cert,
            ssl_key=settings.http_server_key,
            ssl_ca=settings.http_client_ca_certs,
            ssl_client_verify=settings.http_client_ca_certs is not None,
        )
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to serve; the task ends when the server does."""
        self._serving = asyncio.create_task(self._server.serve(), name="http")
        if self._connections is not None:
            watch = self._connections.watch(self._sockets)
            self._watching = asyncio.create_task(watch, name="http connections")
            self._watching.add_done_callback(_told)
        return self._serving

    async def stop(self, within: float) -> None:
        """Refuse new requests and finish those in flight; what takes longer than `within` seconds is cut."""
        if self._serving is None:
            return
        if self._connections is not None:
            self._connections.drain()
        self._server.stop()  # type: ignore[no-untyped-call]
        if not await self._ends(within) and CAN_LOOK:
            looks = await asyncio.to_thread(self._sockets.look)
            log.warning(
                "stopping: %d connections were not done within MG_USERS_SHUTDOWN_TIMEOUT; cut off", len(looks)
            )
            for look in looks:
                self._sockets.close(look, drop=True)
            await self._ends(_LAST_MOMENT)
        if self._watching is not None:
            self._watching.cancel()

    async def _ends(self, within: float) -> bool:
        assert self._serving is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._serving), within)
        return self._serving.done()


def _connections_allowed() -> int:
    """As many as leave descriptors for everything else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(128, min(MAX_CONNECTIONS, soft - _OTHER_FILES))


def _told(watching: asyncio.Task[None]) -> None:
    if not watching.cancelled() and (error := watching.exception()) is not None:
        log.error("nobody watches idle and slow connections any more", exc_info=error)
