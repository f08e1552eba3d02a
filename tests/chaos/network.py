"""The network between one process and one server, which can be broken in every way that networks break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Literal

Weather = Literal["fair", "cut", "stalled", "slow", "deaf"]

BROKEN: tuple[Weather, ...] = ("cut", "stalled", "slow", "deaf")

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Link:
    """Listens on a port of its own and passes on what comes.

    `cut` ends every connection and refuses new ones. `stalled` keeps them and passes nothing, until it is
    over; then all of it arrives. `slow` holds each piece back for a while. `deaf` passes requests on and
    loses the answers, so that nobody knows what was done; afterwards its connections end.
    """

    def __init__(self, upstream: Open) -> None:
        self._open = upstream
        self._weather: Weather = "fair"
        self._delay = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self._abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def become(self, weather: Weather, delay: float = 0.0) -> None:
        """Change; `delay` are the seconds that each piece waits where it is slow."""
        before, self._weather, self._delay = self._weather, weather, delay
        if weather == "cut" or before == "deaf":
            self._abort()
        if weather == "stalled":
            self._flows.clear()
        else:
            self._flows.set()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._weather == "cut":
            writer.transport.abort()
            return
        ends = {writer}
        self._writers |= ends
        try:
            await self._flows.wait()
            up_reader, up_writer = await self._open()
            ends.add(up_writer)
            self._writers.add(up_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, up_writer, answers=False))
                group.create_task(self._pass(up_reader, writer, answers=True))
        except (OSError, asyncio.IncompleteReadError, ExceptionGroup):
            pass
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._flows.wait()
            if self._weather == "slow":
                await asyncio.sleep(self._delay)
            if answers and self._weather == "deaf":
                continue
            writer.write(data)
            await writer.drain()
        # Whoever has said everything may still be answered.
        with contextlib.suppress(OSError):
            writer.write_eof()
