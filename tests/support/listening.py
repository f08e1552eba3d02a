"""The HTTP server in the test's own event loop, and the bare connections that tests speak to it over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from litestar.handlers import HTTPRouteHandler

from infrastructure.server.http import HttpServer
from infrastructure.server.sockets import AcceptedSockets
from infrastructure.serving import application
from infrastructure.settings import load
from tests.support.service import running_service
from tests.support.waiting import eventually

PATIENCE = 20.0


class Wire:
    """One bare TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: its status, its headers, its body by Content-Length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split()[1]), headers, body

    async def rest(self) -> bytes:
        """Whatever comes until the other side closes or resets the connection."""
        received = bytearray()
        with suppress(ConnectionError):
            while data := await asyncio.wait_for(self.reader.read(1 << 20), PATIENCE):
                received += data
        return bytes(received)

    async def seconds_until_closed(self) -> float:
        started = monotonic()
        await self.rest()
        return monotonic() - started

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Listening:
    """A service that listens."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.server = server
        self.port = port
        self.sockets = AcceptedSockets(port)

    @asynccontextmanager
    async def wire(self, *, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
        """A connection to it; `receive_buffer` bytes are all that the kernel takes before it is read."""
        bare = socket.socket()
        if receive_buffer is not None:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        bare.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(bare, ("127.0.0.1", self.port))
        except OSError:
            bare.close()
            raise
        reader, writer = await asyncio.open_connection(sock=bare, limit=receive_buffer or 1 << 16)
        made = Wire(reader, writer)
        try:
            yield made
        finally:
            await made.close()


@asynccontextmanager
async def listening(app: Any, **environ: str) -> AsyncIterator[Listening]:
    """An application behind the HTTP server of the service, on a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = HttpServer(app, load(environ).settings, "127.0.0.1", port)
    server.start()
    made = Listening(server, port)

    async def accepts() -> bool:
        try:
            async with made.wire():
                return True
        except OSError:
            return False

    await eventually(accepts)
    try:
        yield made
    finally:
        await server.stop(PATIENCE)


@asynccontextmanager
async def listening_service(
    conninfo: str, more_routes: Sequence[HTTPRouteHandler] = (), **environ: str
) -> AsyncIterator[Listening]:
    """The whole service on such a port, without projectors."""
    variables: dict[str, Any] = dict(environ)
    async with running_service(conninfo, project=False, **variables) as client:
        app = application(client.service, load(environ).settings, more_routes)
        async with listening(app, **environ) as made:
            yield made
