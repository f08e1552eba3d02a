"""Hears what PostgreSQL notifies, and goes on hearing through lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from application.cancelling import heed_cancellation
from application.outages import Outage
from infrastructure.postgres.complaints import cause

EVENTS = "usersd_events"
PROJECTIONS = "usersd_projections"
GENERATIONS = "usersd_generations"
ENDED_SESSIONS = "usersd_revoked_sessions"
KEYS = "usersd_signing_keys"
CHANNELS = (EVENTS, PROJECTIONS, GENERATIONS, ENDED_SESSIONS, KEYS)

PATIENCE = 60.0

T = TypeVar("T")

log = logging.getLogger("usersd.notifications")


class _Listening(psycopg.AsyncConnection[TupleRow]):
    """Sleeps until something comes: by itself the driver looks up ten times a second."""

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = PATIENCE,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's own
    ) -> T:
        return await super().wait(gen, max(interval, PATIENCE), timeout)


class Signal:
    """A channel: `listeners` hear every payload, tasks can wait for the next.

    An empty payload says that something may have been missed while the connection was lost.
    """

    def __init__(self) -> None:
        self.listeners: list[Callable[[str], None]] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._fired = 0
        self._seen: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()

    def fire(self, payload: str = "") -> None:
        self._fired += 1
        for listener in self.listeners:
            try:
                listener(payload)
            except ValueError:
                # Any role may notify what it likes. Nobody knows what that was instead of.
                listener("")
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait(self, within: float) -> bool:
        """Whether something was notified since this task last waited, or is within so many seconds."""
        task = asyncio.current_task()
        assert task is not None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            # What came while the task was busy is not lost on it.
            if self._seen.get(task, self._fired) == self._fired:
                self._waiting.add(future)
                async with asyncio.timeout(within):
                    await future
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
            self._seen[task] = self._fired
        return True


class Notifications:
    """One listening connection for a whole process."""

    def __init__(self, conninfo: str, *channels: str) -> None:
        self._conninfo = conninfo
        self.signals = {channel: Signal() for channel in channels}
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(log, "PostgreSQL notifies this process of nothing")

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
            heed_cancellation()
            try:
                connection = await _Listening.connect(self._conninfo, autocommit=True)
                async with connection:
                    for channel in self.signals:
                        await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    listening.set()
                    self._outage.is_over()
                    # Whoever waits may have missed something while nobody listened.
                    for signal in self.signals.values():
                        signal.fire()
                    async for notice in connection.notifies():
                        self.signals[notice.channel].fire(notice.payload)
            except psycopg.Error as error:
                self._outage.goes_on(cause(error))
                await asyncio.sleep(0.25)
