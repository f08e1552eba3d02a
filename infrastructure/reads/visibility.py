"""Knows how far the read models behind lists are, so that a write can wait until it is seen."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time

import psycopg

from application.cancelling import heed_cancellation
from infrastructure.postgres.notifications import Signal
from projections.signups.projector import Signups
from projections.users.projector import Users

STALLED_FOR = 5.0
"""Seconds for which nothing waits after a wait was in vain and nothing has moved since."""

SILENCE = 1.0
"""Seconds without a word after which it is looked whether those who wait could go on."""

_MODELS = {model.name: model.version for model in (Users, Signups)}
"""A list shows the users of the one and counts with the totals of the other."""

_POSITIONS = """
SELECT name, position, paused_at IS NOT NULL
FROM projections JOIN unnest(%s::text[], %s::int[]) AS model (name, version)
USING (name, version) WHERE live"""


class PostgresVisibility:
    """Implements the port Visibility, fed by the notifications of whoever projects."""

    def __init__(self, conninfo: str, signal: Signal) -> None:
        self._conninfo = conninfo
        self._signal = signal
        self._positions = dict.fromkeys(_MODELS, 0)
        self._reached = 0
        self._unsure = asyncio.Event()
        self._heard_at = 0.0
        self._paused = False
        self._stalled_until = 0.0
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []
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
        if self._paused or time.monotonic() < self._stalled_until:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), future))
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            await self._look()
            if position <= self._reached:
                return True
            self._stalled_until = time.monotonic() + STALLED_FOR
            return False

    def _heard(self, payload: str) -> None:
        name, _, rest = payload.partition(":")
        version, _, reached = rest.partition(":")
        if version == str(_MODELS.get(name)):
            self._heard_at = time.monotonic()
            self._advance({name: int(reached)})
        elif not name:
            # The connection was made anew, and what was notified meanwhile is not known; or somebody has
            # paused a read model, or had it go on.
            self._unsure.set()

    async def _watch(self) -> None:
        while True:
            heed_cancellation()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await self._unsure.wait()
            silent = time.monotonic() - self._heard_at >= SILENCE
            if self._unsure.is_set() or (self._waiting and silent):
                self._unsure.clear()
                await self._look()

    def _advance(self, positions: dict[str, int]) -> None:
        for name, position in positions.items():
            self._positions[name] = max(position, self._positions[name])
        reached = min(self._positions.values())
        if reached > self._reached:
            self._reached = reached
            self._stalled_until = 0.0
        while self._waiting and self._waiting[0][0] <= self._reached:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(True)

    async def _look(self) -> None:
        with contextlib.suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                cursor = await connection.execute(_POSITIONS, (list(_MODELS), list(_MODELS.values())))
                standing = await cursor.fetchall()
                self._advance({name: position for name, position, _ in standing})
                self._paused = any(paused for _, _, paused in standing)
                if self._paused:
                    self._give_up()

    def _give_up(self) -> None:
        """Have nobody wait for what does not come."""
        for _, _, future in self._waiting:
            if not future.done():
                future.set_result(False)
        self._waiting.clear()
