"""The socket that is listened on, and the granian servers that take turns on it.

Granian reads certificates once, and breaks off handshakes when it is told to end. So a server with new
certificates is started on the same socket, and only then the one before it stops to accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

from granian.constants import SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from infrastructure.server.addresses import CannotListen
from infrastructure.server.certificates import Material

BACKLOG = 1024


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens and that no other process can share. Raises CannotListen."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: answers are small, and not waited with.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from None
    return made


class Turn:
    """One granian server on the socket, from its start until its last connection is closed."""

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        material: Material | None,
        http1: HTTP1Settings,
        http2: HTTP2Settings,
        most_connections: int,
    ) -> None:
        self._descriptor = os.dup(listening.fileno())
        self._files = _Files(material)
        self._server: Any = _OnSocket(
            app,
            # There is nothing to begin or to end beside requests, and turns overlap.
            interface="asginl",  # type: ignore[arg-type]
            websockets=False,
            log_enabled=False,
            backlog=BACKLOG,
            backpressure=most_connections,
            http1_settings=http1,
            http2_settings=http2,
        )
        self._server.on_descriptor = self._descriptor
        if material is not None:
            # As the server would set it for files that it has read once already.
            self._server.ssl_ctx = self._files.context
        self.serving: asyncio.Task[None] = asyncio.create_task(self._serve(), name="http")

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        finally:
            self._files.close()

    def stop_accepting(self, parked: socket.socket) -> None:
        """Leave new connections to whoever else accepts on the socket; go on with those there are.

        `parked` is a listening socket to which nobody connects: it takes the place of the real one.
        """
        if not self.serving.done():
            os.dup2(parked.fileno(), self._descriptor, inheritable=False)

    def stop(self) -> None:
        """Accept nothing more, finish what is in flight, close the connections."""
        self._server.stop()


class _OnSocket(Server):
    """Accepts from a descriptor, which it owns from its start on, instead of binding a socket itself."""

    on_descriptor = -1

    _shd: Any
    _sfd: Any

    def _init_shared_socket(self) -> None:
        self._shd = SocketHolder(self.on_descriptor, False, BACKLOG)  # type: ignore[call-arg]
        self._sfd = self.on_descriptor
        self._ssp = None


class _Files:
    """What granian takes as files, held in memory: it must read what was checked, and nothing else."""

    def __init__(self, material: Material | None) -> None:
        self._descriptors: list[int] = []
        self.context: tuple[Any, ...] = ()
        if material is None:
            return
        authorities = self._path(material.authorities) if material.authorities is not None else None
        self.context = (
            True,
            self._path(material.certificate),
            self._path(material.key),
            None,
            str(SSLProtocols.tls12),
            authorities,
            [],
            authorities is not None,
        )

    def _path(self, content: bytes) -> str:
        descriptor = os.memfd_create("usersd-tls")
        self._descriptors.append(descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        return f"/proc/self/fd/{descriptor}"

    def close(self) -> None:
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()


def parked_socket() -> socket.socket:
    """A listening socket without an address in any network."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The kernel finds a name that is free.
    made.bind("")
    made.listen(0)
    made.setblocking(False)
    return made
