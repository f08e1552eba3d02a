"""Time as a caller: ticks begin regular work, and a claim decides which replica does it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

TICK = timedelta(minutes=1)
"""How often a replica asks whether work is due; work that is due more often ticks at its own interval."""

log = logging.getLogger("usersd.scheduler")


class Job(msgspec.Struct, frozen=True):
    """A piece of regular work: done once per interval over all replicas, at the next tick again if it failed.

    `run` answers with one line on what it did, empty where there was nothing to do.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[str]]


class Claims(Protocol):
    async def claim(self, name: str, every: timedelta) -> bool:
        """Whether this process may begin the work now."""

    async def finish(self, name: str) -> None:
        """Note that the work was done."""

    async def give_back(self, name: str) -> None:
        """Let the next tick of any replica try again."""


class Scheduler:
    """Runs jobs until cancelled; a job that fails is logged and tried again.

    A job that may take long looks at `stopping` between its steps: when it is set, the process waits for it.
    """

    def __init__(self, jobs: Sequence[Job], claims: Claims, stopping: asyncio.Event | None = None) -> None:
        self.jobs = jobs
        self._claims = claims
        self.turns = Counter({(job.name, outcome): 0 for job in jobs for outcome in ("ok", "failed")})
        """How many turns of each job this process has taken, by name and outcome: ok or failed."""
        self.stopping = stopping or asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Tick until cancelled, then wait for what is being done."""
        ticking = self.ticking()
        ticking.start()
        try:
            while True:
                await asyncio.sleep(TICK.total_seconds())
                bring_forward(ticking, datetime.now(UTC))
        finally:
            self.stopping.set()
            ticking.pause()
            # Shutting down would cancel what is being done instead of waiting for it.
            if self._running:
                await asyncio.wait(self._running)
            ticking.shutdown(wait=False)

    def ticking(self) -> AsyncIOScheduler:
        """What ticks for each job, not started yet."""
        ticking = AsyncIOScheduler(timezone="UTC")
        for job in self.jobs:
            # A late tick is as good as one in time; two of one job never run side by side.
            ticking.add_job(
                self._tick,
                IntervalTrigger(seconds=min(job.every, TICK).total_seconds(), jitter=None),
                args=(job,),
                id=job.name,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        return ticking

    async def _tick(self, job: Job) -> None:
        task = asyncio.create_task(self.turn(job), name=f"job {job.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def turn(self, job: Job) -> None:
        """Give a job its turn, if it is due and no other replica has it."""
        if not await self._claims.claim(job.name, job.every):
            return
        try:
            done = await job.run()
        except Exception as error:
            self.turns[job.name, "failed"] += 1
            log.error("%s failed (%s); it is tried again", job.name, type(error).__name__)
            await self._claims.give_back(job.name)
            return
        self.turns[job.name, "ok"] += 1
        await self._claims.finish(job.name)
        if done:
            log.info("%s: %s", job.name, done)


def bring_forward(ticking: AsyncIOScheduler, now: datetime) -> None:
    """Have every job tick now whose next tick is further ahead than two ticks are apart.

    Ticks are kept by the time of day: on a machine whose clock was put back they would all stay away until it
    is as late as it was.
    """
    for job in ticking.get_jobs():
        if job.next_run_time is not None and job.next_run_time > now + 2 * TICK:
            job.modify(next_run_time=now)
