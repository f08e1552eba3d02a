"""The HTTP server: granian in this process and on this event loop, and the limits it does not keep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Coroutine
from typing import Any

from granian.http import HTTP1Settings, HTTP2Settings

from infrastructure.server.certificates import Material, TlsFiles
from infrastructure.server.connections import MAX_STREAMS, Connections, Limits
from infrastructure.server.listener import Turn, listening_socket, parked_socket
from infrastructure.server.renewal import Renewal
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
_LONGEST_TURN = 600.0
"""Seconds for which the connections of an older certificate are left alone."""
_BEGINNING = 0.05
"""Seconds after which a server that was started accepts; till then the one before it does."""

log = logging.getLogger("usersd.http")


class HttpServer:
    """Serves an ASGI application on an address until it is stopped. Raises UnfitCertificate."""

    def __init__(self, app: Any, settings: Settings, host: str, port: int) -> None:
        self._idle = settings.http_idle_timeout.total_seconds()
        self._head = settings.http_read_header_timeout.total_seconds()
        write = settings.http_write_timeout.total_seconds()
        self._connections = Connections(app, Limits(self._head, self._idle, write)) if CAN_LOOK else None
        self._app = self._connections or app
        self._sockets = AcceptedSockets(port)
        self._address = host, port
        self._max_header_bytes = settings.http_max_header_bytes
        self._files = TlsFiles.of(settings, "http")
        self._renewal: Renewal | None = None
        self._listening: socket.socket | None = None
        self._parked: socket.socket | None = None
        self._turn: Turn | None = None
        self._turns: set[Turn] = set()
        self._retiring: dict[Turn, asyncio.Task[None]] = {}
        self._beside: list[asyncio.Task[None]] = []
        self._serving: asyncio.Task[None] | None = None

    @property
    def expires_at(self) -> float | None:
        """When the certificate that is shown now expires, in seconds since 1970; None without TLS."""
        return self._renewal.in_use.expires_at.timestamp() if self._renewal else None

    @property
    def is_renewing(self) -> bool:
        """Whether connections of an older certificate are still open."""
        return bool(self._retiring)

    def start(self) -> asyncio.Task[None]:
        """Begin to serve; the task ends when the server does. Raises CannotListen, UnfitCertificate."""
        material = self._files.read() if self._files else None
        self._listening = listening_socket(*self._address)
        self._turn = self._begin(material)
        self._serving = asyncio.create_task(self._serve(), name="http turns")
        if self._connections is not None:
            self._run_beside(self._connections.watch(self._sockets), "http connections")
        if self._files is not None and material is not None:
            self._renewal = Renewal(self._files, material, self._take_up)
            if CAN_LOOK:
                self._run_beside(self._renewal.run(), "http certificates")
        return self._serving

    def read_again(self) -> None:
        """Read the certificates again, as soon as may be; what is unfit is told and not used."""
        if self._renewal is None:
            log.info("there is nothing to read again: HTTP is served without TLS")
        elif CAN_LOOK:
            self._renewal.ask()
        else:
            log.warning("certificates are read again on Linux only: start the service anew")

    def announce_end(self) -> None:
        """From now on every answer asks its client to go elsewhere; all are still served."""
        if self._connections is not None:
            self._connections.announce_end()

    async def stop(self, within: float) -> None:
        """Refuse new requests and finish those in flight; what takes longer than `within` seconds is cut."""
        if self._serving is None or self._turn is None or self._listening is None:
            return
        if self._connections is not None:
            self._connections.drain()
        for task in self._beside[1:]:
            task.cancel()
        # Held open here, it would go on taking in connections that nobody accepts.
        self._listening.close()
        for turn in self._turns:
            turn.stop()
        if not await self._ends(within) and CAN_LOOK:
            looks = await asyncio.to_thread(self._sockets.look)
            log.warning(
                "stopping: %d connections were not done within MG_USERS_SHUTDOWN_TIMEOUT; cut off", len(looks)
            )
            for look in looks:
                self._sockets.close(look, drop=True)
            await self._ends(_LAST_MOMENT)
        for task in (*self._beside, *self._retiring.values()):
            task.cancel()
        if self._parked is not None:
            self._parked.close()

    def _begin(self, material: Material | None) -> Turn:
        assert self._listening is not None
        turn = Turn(
            self._app,
            self._listening,
            material,
            HTTP1Settings(
                # It runs between requests too; where connections are watched, the watch is the finer one.
                header_read_timeout=round((self._head + (self._idle if CAN_LOOK else 0)) * 1000),
                max_buffer_size=max(_SMALLEST_BUFFER, self._max_header_bytes),
            ),
            HTTP2Settings(max_headers_size=self._max_header_bytes, max_concurrent_streams=MAX_STREAMS),
            _connections_allowed(),
        )
        self._turns.add(turn)
        turn.serving.add_done_callback(lambda _: self._turns.discard(turn))
        return turn

    async def _serve(self) -> None:
        """Ends with the turn that nobody has taken over from."""
        turn = None
        while turn is not self._turn:
            turn = self._turn
            assert turn is not None
            await asyncio.wait({turn.serving})
        assert turn is not None
        turn.serving.result()

    async def _take_up(self, material: Material) -> None:
        """Serve new connections with it; those that are open stay as they are."""
        before = self._turn
        assert before is not None
        after = self._begin(material)
        await asyncio.sleep(_BEGINNING)
        if after.serving.done():
            raise RuntimeError("The HTTP server did not begin with the new certificate.")
        if self._parked is None:
            self._parked = parked_socket()
        self._turn = after
        before.stop_accepting(self._parked)
        assert self._connections is not None
        looks = await asyncio.to_thread(self._sockets.look)
        gone = self._connections.let_go({look.peer for look in looks})
        self._retiring[before] = asyncio.create_task(self._retire(before, gone), name="http retirement")

    async def _retire(self, turn: Turn, gone: asyncio.Event) -> None:
        """End a turn when its last connection has gone, so that nobody meets an end with a request.

        Those of HTTP/1.1 go with their next answer. Those of HTTP/2 may stay while they are used; after
        `_LONGEST_TURN` they are told to go elsewhere, which some clients take for an error.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_TURN):
                await gone.wait()
        turn.stop()
        await asyncio.wait({turn.serving})
        del self._retiring[turn]

    def _run_beside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_told)
        self._beside.append(task)

    async def _ends(self, within: float) -> bool:
        assert self._serving is not None
        turns = [turn.serving for turn in self._turns]
        _, pending = await asyncio.wait({self._serving, *turns}, timeout=within)
        return not pending


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


def _told(beside: asyncio.Task[None]) -> None:
    if not beside.cancelled() and (error := beside.exception()) is not None:
        log.error("what looks after connections or certificates has ended", exc_info=error)
