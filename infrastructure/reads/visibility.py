"""Knows how far the read model `users` is, so that a write can wait until it is seen."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time

import psycopg

from infrastructure.postgres.notifications import Signal
from projections.users.projector import Users

STALLED_FOR = 5.0
"""Seconds for which nothing waits after a wait was in vain and nothing has moved since."""

_POSITION = "SELECT position FROM projections WHERE name = %s AND version = %s AND live"


class PostgresVisibility:
    """Implements the port Visibility, fed by the notifications of whoever projects."""

    def __init__(self, conninfo: str, signal: Signal) -> None:
        self._conninfo = conninfo
        self._signal = signal
        self._reached = 0
        self._unsure = False
        self._stalled_until = 0.0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PostgresVisibility:
        self._signal.listeners.append(self._heard)
        self._task = asyncio.create_task(self._watch(), name="visibility")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._signal.listeners.remove(self._heard)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, position: int, within: float) -> bool:
        if position <= self._reached:
            return True
        if time.monotonic() < self._stalled_until:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), future))
        try:
            async with asyncio.timeout(within):
                await future
        except TimeoutError:
            await self._look()
            if position <= self._reached:
                return True
            self._stalled_until = time.monotonic() + STALLED_FOR
            return False
        return True

    def _heard(self, payload: str) -> None:
        name, _, rest = payload.partition(":")
        version, _, reached = rest.partition(":")
        if name == Users.name and version == str(Users.version):
            self._advance(int(reached))
        elif not name:
            # The connection was made anew: what was notified meanwhile is not known.
            self._unsure = True

    async def _watch(self) -> None:
        while True:
            heard = await self._signal.wait(1.0)
            if self._unsure or (self._waiting and not heard):
                self._unsure = False
                await self._look()

    def _advance(self, reached: int) -> None:
        if reached > self._reached:
            self._reached = reached
            self._stalled_until = 0.0
        while self._waiting and self._waiting[0][0] <= self._reached:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def _look(self) -> None:
        with contextlib.suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                cursor = await connection.execute(_POSITION, (Users.name, Users.version))
                if row := await cursor.fetchone():
                    self._advance(row[0])
