"""A connection to PostgreSQL that a test can break at an exact moment."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Mode = Literal["pass", "lose the next answer", "refuse", "swallow"]


class Proxy:
    """Stands between a client and the server.

    `lose the next answer` passes the request on and cuts the connection when the server has answered,
    and refuses from then on; `swallow` accepts connections and answers nothing. While `flowing` is not set,
    no answer comes through, as from a server whose machine has been frozen.
    """

    def __init__(self, conninfo: str) -> None:
        at = conninfo_to_dict(conninfo)
        self._socket = f"{at['host']}/.s.PGSQL.{at.get('port', 5432)}"
        self._original = conninfo
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.mode: Mode = "pass"
        self.refused = 0
        self.cut = asyncio.Event()
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.conninfo = make_conninfo(
            self._original, host="127.0.0.1", port=self.port, sslmode="disable", gssencmode="disable"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self.mode == "refuse":
            self.refused += 1
            writer.close()
            return
        if self.mode == "swallow":
            return
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket)
        self._writers.append(up_writer)
        for work in (self._requests(reader, up_writer), self._answers(up_reader, writer)):
            self._tasks.add(asyncio.create_task(work))

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.mode == "lose the next answer":
                self.mode = "refuse"
                self._cut_all()
                self.cut.set()
                return
            await self.flowing.wait()
            writer.write(data)
        writer.close()

    def _cut_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
