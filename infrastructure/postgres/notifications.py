"""Hears what PostgreSQL notifies, and goes on hearing through lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

EVENTS = "usersd_events"
PROJECTIONS = "usersd_projections"

log = logging.getLogger("usersd.notifications")


class Signal:
    """The last payload of a channel, and a way to wait for the next."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.payload = ""

    def fire(self, payload: str = "") -> None:
        self.payload = payload
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait(self, within: float) -> bool:
        """Whether something was notified within so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait_for(future, within)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True


class Notifications:
    """One listening connection for a whole process."""

    def __init__(self, conninfo: str, *channels: str) -> None:
        self._conninfo = conninfo
        self.signals = {channel: Signal() for channel in channels}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Notifications:
        listening = asyncio.Event()
        self._task = asyncio.create_task(self._run(listening), name="notifications")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listening.wait(), 5)
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, listening: asyncio.Event) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                async with connection:
                    for channel in self.signals:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    listening.set()
                    # Whoever waits may have missed something while nobody listened.
                    for signal in self.signals.values():
                        signal.fire()
                    async for notice in connection.notifies():
                        self.signals[notice.channel].fire(notice.payload)
            except psycopg.Error as error:
                log.warning("the listening connection was lost (%s); connecting again", type(error).__name__)
                await asyncio.sleep(0.25)
