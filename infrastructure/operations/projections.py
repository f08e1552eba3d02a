"""What operators can ask for and have done: the state of the projections, a rebuild, a look at the log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import psycopg

from application.operations import Dropped, Named, Progress, Rebuilt, Switched
from application.ports import Recorded, Unreadable
from infrastructure.operations.readmodels import PostgresReadModels, known
from infrastructure.postgres.notifications import EVENTS, Notifications
from infrastructure.process import tune
from infrastructure.rebuilding import SpawnedWorkers
from projections import tables
from projections.catalogue import READ_MODELS
from projections.priority import NICENESS
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.switch import beside, switch

TAKEN_OVER = 2.0
"""Seconds after which a stand-by has taken over from an owner that let go."""


class PostgresOperations(PostgresReadModels):
    """Implements the port Operations."""

    def projections(self) -> list[Named]:
        return [Named(model.name, model.version) for model in READ_MODELS]

    def rebuild(
        self,
        name: str,
        progress: Callable[[Progress], None],
        *,
        switching: bool = True,
        anyway: bool = False,
        anew: bool = False,
        parallel: int | None = None,
        rate: float | None = None,
        gentle: bool = True,
    ) -> Rebuilt:
        model = known(name)
        tune()
        if gentle:
            # For good, but not behind other sessions: everybody waits for the switch that this process makes.
            os.nice(NICENESS)
        work = rebuild(
            model,
            self._keys.reader,
            self._standing.direct,
            progress,
            switching=switching,
            anyway=anyway,
            anew=anew,
            workers=SpawnedWorkers(self._standing),
            parallel=parallel,
            rate=rate,
            gentle=gentle,
        )
        return asyncio.run(work)

    def switch(self, name: str, *, newer: bool) -> Switched:
        return asyncio.run(self._switch(known(name), newer=newer))

    async def _switch(self, model: ReadModel, *, newer: bool) -> Switched:
        async with await psycopg.AsyncConnection.connect(
            self._standing.direct, autocommit=True
        ) as connection:
            number = await beside(connection, model, newer=newer)
            return await switch(connection, self._keys.reader, model, number)

    def drop_old(self, name: str) -> list[Dropped]:
        model = known(name)
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            dropped = [Dropped(model.version, number) for number in tables.old(connection, model)]
            for generation in dropped:
                tables.drop(connection, model, generation.generation)
            if older := tables.older(connection, model):
                # Whoever took over from an owner that has just gone has done so by now.
                time.sleep(TAKEN_OVER)
                older = [place for place in tables.older(connection, model) if place in older]
            for version in sorted({version for version, _ in older}):
                if tables.drop_version(connection, name, version):
                    dropped += [Dropped(*place) for place in older if place[0] == version]
        return dropped

    async def tail(self, after: int, *, follow: bool) -> AsyncIterator[Recorded | Unreadable]:
        async with Notifications(self._standing.direct, EVENTS) as notifications:
            signal = notifications.signals[EVENTS]
            async with await psycopg.AsyncConnection.connect(
                self._standing.direct, autocommit=True
            ) as connection:
                while True:
                    page = await self._keys.reader.read(connection, after, 500)
                    for event in page:
                        yield event
                        after = event.position
                    if not page and not follow:
                        return
                    if not page:
                        await signal.wait(0.5)

    async def stream(self, user_id: UUID) -> list[Recorded | Unreadable]:
        async with await psycopg.AsyncConnection.connect(
            self._standing.direct, autocommit=True
        ) as connection:
            return await self._keys.reader.read_stream(connection, user_id)

    async def head(self) -> int:
        async with await psycopg.AsyncConnection.connect(
            self._standing.direct, autocommit=True
        ) as connection:
            row = await (await connection.execute("SELECT coalesce(max(position), 0) FROM events")).fetchone()
            assert row is not None
            return int(row[0])
