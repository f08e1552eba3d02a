"""From the commit of a change to the read model that lists are made of, at a thousand changes a second."""

from __future__ import annotations

import asyncio
import time

import psycopg

from bench.ground import Ground, Log, event_log, registration
from bench.measuring import Row, say
from infrastructure.postgres.notifications import EVENTS, PROJECTIONS, Notifications
from infrastructure.standing import prepare
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.users.projector import Users

PER_SECOND = 1000
SECONDS = 60
AIM_MS = 100.0


async def measure(ground: Ground) -> list[Row]:
    """One row: writer and the projectors of every read model in one process, the database beside it."""
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo) as log, Notifications(conninfo, EVENTS, PROJECTIONS) as heard:
            prepare(log.standing)
            wake_up = heard.signals[EVENTS]
            projectors = [Projector(model, log.keys.reader, conninfo, wake_up) for model in READ_MODELS]
            tasks = [asyncio.create_task(projector.run()) for projector in projectors]
            try:
                times = await _times(log, heard)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        with psycopg.connect(conninfo) as connection:
            assert connection.execute("SELECT count(*) FROM users_v1").fetchone() == (PER_SECOND * SECONDS,)
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    say(f"  commit to read model: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return [
        Row(
            work=f"commit to read model at {PER_SECOND:,} changes a second for a minute, p99",
            against="p50 beside it", ours=p99, limit=p50, share=p99, aim=AIM_MS, unit="ms", rounds=len(times),
        )
    ]  # fmt: skip


async def _times(log: Log, heard: Notifications) -> list[float]:
    """Milliseconds from when each change was stored until the read model had it, sorted."""
    stored: dict[int, float] = {}
    shown: dict[int, float] = {}
    reached = 0
    done = asyncio.Event()

    def listen(payload: str) -> None:
        nonlocal reached
        name, _, rest = payload.partition(":")
        if name != Users.name:
            return
        position, now = int(rest.partition(":")[2]), time.perf_counter()
        for each in range(reached + 1, position + 1):
            shown[each] = now
        reached = max(reached, position)
        if reached == PER_SECOND * SECONDS:
            done.set()

    async def write(number: int) -> None:
        position = await log.log.append(registration(number))
        stored[position] = time.perf_counter()

    heard.signals[PROJECTIONS].listeners.append(listen)
    started = time.perf_counter()
    writing: list[asyncio.Task[None]] = []
    for number in range(PER_SECOND * SECONDS):
        await asyncio.sleep(max(0.0, started + number / PER_SECOND - time.perf_counter()))
        writing.append(asyncio.create_task(write(number)))
    await asyncio.gather(*writing)
    took = time.perf_counter() - started
    say(f"  {PER_SECOND * SECONDS:,} changes in {took:.1f} s")
    async with asyncio.timeout(60):
        await done.wait()
    # The read model may have it before the writer hears that it is stored.
    return sorted(max(0.0, shown[position] - at) * 1000 for position, at in stored.items())
