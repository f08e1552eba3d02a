"""Group commit: whatever commands arrive while a flush runs share the next one.

There is no timer. One task owns one connection; a batch forms while the previous one is being stored,
so a lone caller waits for nothing and many callers share one round trip and one flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence

import psycopg
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.sql import SQL

from application.outages import Outage
from domain.errors import OutcomeUnknown, Overloaded, Unavailable
from infrastructure.event_store.prepared import APPEND, Outcome, Prepared, parameters
from infrastructure.postgres.complaints import cause

MAX_BATCH = 256
MAX_WAITING = 10_000
PATIENCE = 5.0
"""Seconds for which a command waits for a database that is away or stuck."""

# A server that has become a standby is as good as lost: connecting again finds the one that writes.
_LOST = (psycopg.OperationalError, psycopg.InterfaceError, ReadOnlySqlTransaction)

log = logging.getLogger("usersd.appender")


class AppenderDied(Exception):
    """The process can store nothing any more: it ends, so that another is started."""


class _Waiting:
    __slots__ = ("deadline", "future", "in_flight", "prepared")

    def __init__(self, prepared: Prepared, future: asyncio.Future[Outcome], deadline: float) -> None:
        self.prepared = prepared
        self.future = future
        self.deadline = deadline
        self.in_flight = False


class Appender:
    """Appends prepared commands; the order of the log is the order in which it stores them."""

    def __init__(self, conninfo: str, *, patience: float = PATIENCE) -> None:
        self._conninfo = conninfo
        self._patience = patience
        self._queue: deque[_Waiting] = deque()
        self._batch: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._outage = Outage(log, "nothing can be appended to the event log")
        self._connection: psycopg.AsyncConnection | None = None
        self._closing = False
        self.died = asyncio.Event()
        """Set when nothing can be stored by this process any more."""
        self.batches = 0
        self.appended = 0
        self.sizes = [0] * (MAX_BATCH.bit_length() + 1)
        """How many batches there were of up to 1, 2, 4, … commands."""

    async def __aenter__(self) -> Appender:
        self._task = asyncio.create_task(self._run(), name="appender")
        self._task.add_done_callback(self._ended)
        self._watch = asyncio.create_task(self._give_up_late(), name="appender's watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Store what waits, then stop; a database that stays stuck is left after the patience."""
        self._closing = True
        self._wake.set()
        if self._task and self._watch:
            await asyncio.wait({self._task}, timeout=2 * self._patience)
            for task in (self._task, self._watch):
                task.cancel()
            await asyncio.wait({self._task, self._watch})
        await self._disconnect()

    async def append(self, prepared: Prepared) -> Outcome:
        """Store one command with whatever else is waiting.

        Raises Overloaded when too many wait, Unavailable when the database stays away and nothing was
        sent, OutcomeUnknown when it stays away after the command was sent.
        """
        if len(self._queue) >= MAX_WAITING or self._closing:
            raise Overloaded("Too many changes are waiting to be stored; try again shortly.")
        if self.died.is_set():
            raise Unavailable
        deadline = time.monotonic() + self._patience
        waiting = _Waiting(prepared, asyncio.get_running_loop().create_future(), deadline)
        self._queue.append(waiting)
        self._wake.set()
        return await waiting.future

    @property
    def waiting(self) -> int:
        """Commands that wait for the next batch."""
        return len(self._queue)

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._store([self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))])

    async def _store(self, batch: list[_Waiting]) -> None:
        """Store a batch, through lost connections: what was stored before answers `known`.

        A caller that has gone away, or was answered already, wants nothing stored (again).
        """
        pause = 0.0
        while batch := [waiting for waiting in batch if not waiting.future.done()]:
            self._batch = batch
            try:
                connection = await self._connected()
                batch = [waiting for waiting in batch if not waiting.future.done()]
                for waiting in batch:
                    waiting.in_flight = True
                await self._settle(connection, batch)
                self._outage.is_over()
                return
            except _LOST as error:
                self._outage.goes_on(cause(error))
                await self._disconnect()
                await asyncio.sleep(pause)
                pause = min(max(pause * 2, 0.05), 1.0)

    async def _settle(self, connection: psycopg.AsyncConnection, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            cursor = await connection.execute(
                SQL(APPEND), parameters([waiting.prepared for waiting in batch]), prepare=True
            )
            rows = await cursor.fetchall()
        except _LOST:
            raise
        except Exception as error:
            # One command that the driver or the database cannot take must not hurt its neighbours.
            if len(batch) == 1:
                _resolve(batch[0], error)
                return
            middle = len(batch) // 2
            await self._settle(connection, batch[:middle])
            await self._settle(connection, batch[middle:])
            return
        self.batches += 1
        self.appended += len(batch)
        self.sizes[(len(batch) - 1).bit_length()] += 1
        for waiting, row in zip(batch, rows, strict=True):
            _resolve(waiting, Outcome(*row))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody stores anything any more: whoever waits, or comes later, is told so at once."""
        if self._closing:
            return
        self.died.set()
        error = None if task.cancelled() else task.exception()
        log.critical(
            "the task that appends has died of %s: this process can store nothing any more",
            type(error).__name__ if error else "a cancellation",
        )
        for waiting in (*self._batch, *self._queue):
            _resolve(waiting, OutcomeUnknown() if waiting.in_flight else Unavailable())
        self._queue.clear()

    async def _give_up_late(self) -> None:
        """Answer whoever has waited long enough, whatever the flush before them is stuck in."""
        while True:
            await asyncio.sleep(self._patience / 10)
            now = time.monotonic()
            for waiting in self._batch:
                if waiting.deadline <= now:
                    _resolve(waiting, OutcomeUnknown() if waiting.in_flight else Unavailable())
            while self._queue and self._queue[0].deadline <= now:
                _resolve(self._queue.popleft(), Unavailable())

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            # The append's checks must see what was committed before it got its lock.
            await connection.execute("SET default_transaction_isolation = 'read committed'")
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None


def _resolve(waiting: _Waiting, answer: Outcome | Exception) -> None:
    if waiting.future.done():
        return
    if isinstance(answer, Exception):
        waiting.future.set_exception(answer)
    else:
        waiting.future.set_result(answer)
