"""Keeps every generation of a read model up to date that has been built, and builds the first one."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Collection
from uuid import uuid4

import psycopg

from application.cancelling import heed_cancellation
from application.operations import RebuildRunning, SwitchBlocked, WorkerLost
from application.outages import Outage, first_line
from application.projections import NotProven
from projections.follower import AWAY, STANDBY, Follower, WakeUp
from projections.parts import Workers
from projections.readmodel import LogPages, PageTrace, ReadModel
from projections.rebuild import rebuild

LOOKS_EVERY = 2.0
"""Seconds after which it is looked for other generations even if nothing was notified."""

UNPROVEN = 30.0
"""Seconds after which a first generation that is not what the log says is looked at again."""

_BUILT = "SELECT generation, live FROM projections WHERE name = %s AND version = %s AND state <> 'building'"

log = logging.getLogger("usersd.projections")


class Projector:
    """A follower for each generation: of the live one, and of those that one switch may bring back.

    A version of the service whose read model has another shape finds no generation of it: it builds one
    beside those that older versions go on with.
    """

    def __init__(
        self,
        model: ReadModel,
        pages: LogPages,
        conninfo: str,
        wake_up: WakeUp,
        trace: PageTrace | None = None,
        workers: Workers | None = None,
        generations: WakeUp | None = None,
    ) -> None:
        """`generations` tells of new ones; without it they are looked for more often."""
        self._model = model
        self._generations = generations
        self._workers = workers
        self._pages = pages
        self._conninfo = conninfo
        self._wake_up = wake_up
        self._trace = trace
        self._followers: dict[int, asyncio.Task[None]] = {}
        self._outage = Outage(log, f"{model.name}: whether a generation was built cannot be looked at")
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                heed_cancellation()
                try:
                    await self._look_after()
                except psycopg.Error as error:
                    # What a statement failed of may quote a person.
                    told = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
                    self._outage.goes_on(first_line(error) if told else type(error).__name__)
                    await asyncio.sleep(AWAY)
                except Exception as error:
                    # Nothing should come here; whatever it was, the read models do not stand still for good.
                    log.error("%s: looking after it failed: %s", self._model.name, type(error).__name__)
                    await asyncio.sleep(LOOKS_EVERY)
        finally:
            await self._end(list(self._followers))

    def follower(self, generation: int) -> Follower:
        """What keeps one generation up to date."""
        return Follower(
            self._model, generation, self.owner, self._pages, self._conninfo, self._wake_up, self._trace
        )

    async def _look_after(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            while True:
                heed_cancellation()
                cursor = await connection.execute(_BUILT, (self._model.name, self._model.version))
                built: dict[int, bool] = dict(await cursor.fetchall())
                # One that ended by itself, as nothing should make it, is begun anew.
                over = {number for number, task in self._followers.items() if task.done()}
                await self._end(over | (self._followers.keys() - built.keys()))
                for number in built.keys() - self._followers.keys():
                    follower = self.follower(number)
                    self._followers[number] = asyncio.create_task(follower.run())
                if not any(built.values()):
                    await self._build_the_first()
                self._outage.is_over()
                if self._generations:
                    await self._generations.wait(LOOKS_EVERY)
                else:
                    await asyncio.sleep(STANDBY)

    async def _build_the_first(self) -> None:
        try:
            log.info("%s: building version %d from the log", self._model.name, self._model.version)
            await rebuild(self._model, self._pages, self._conninfo, workers=self._workers)
        except (WorkerLost, SwitchBlocked) as error:
            log.warning("%s: %s", self._model.name, error)
        except RebuildRunning:
            # Another process builds it; this one looks again in a moment.
            log.debug("%s: another process is building it", self._model.name)
        except NotProven as error:
            # Nothing of it is read. It is looked at again in a moment: somebody may have put it right.
            log.error("%s", error)
            await asyncio.sleep(UNPROVEN)

    async def _end(self, numbers: Collection[int]) -> None:
        ending = [self._followers.pop(number) for number in numbers]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
