"""A gRPC server that can be stopped and started again on its own port, as a test likes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import grpc


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Killable:
    """Serves what `add` registers, until it is killed; and again."""

    def __init__(self, add: Callable[[Any], None], credentials: Any = None) -> None:
        self._add = add
        self._credentials = credentials
        self._server: Any = None
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._add(self._server)
        if self._credentials:
            self._server.add_secure_port(self.address, self._credentials)
        else:
            self._server.add_insecure_port(self.address)
        await self._server.start()

    async def kill(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
