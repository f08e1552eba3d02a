"""A whole rebuild of the users read model against reading, unsealing and decoding the same log."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import psycopg

from application.operations import Progress
from bench import library_projection
from bench.crowd_log import USERS, crowd_log
from bench.ground import Ground, event_log, seed
from bench.measuring import Row, in_turns, say
from infrastructure.rebuilding import SpawnedWorkers
from infrastructure.standing import open_keys, prepare
from projections.rebuild import rebuild
from projections.users.projector import Users
from tests.support.databases import standing

PAGE = 5000
LIBRARY_EVENTS = 5_000
MEMORY = 300.0
ROUNDS = 3 if USERS < 500_000 else 1


async def measure(ground: Ground) -> list[Row]:
    """By one process, by two, the memory of the largest; with every index built and the rows verified."""
    say(f"  a log of {USERS:,} users")
    conninfo = await crowd_log(ground)
    rows = [await _share(conninfo, parallel) for parallel in (1, 2)]
    memory = max(peak for _, peak in rows)
    return [
        *[row for row, _ in rows],
        await _against_the_library(ground, rows[0][0].ours),
        Row(
            work="memory of a process that rebuilds", against="what is allowed", ours=memory, limit=MEMORY,
            share=memory / MEMORY, aim=1.0, unit=" MB",
        ),
    ]  # fmt: skip


async def _share(conninfo: str, parallel: int) -> tuple[Row, float]:
    peak = 0.0

    async def ours() -> float:
        nonlocal peak
        rate, memory = await _rebuild(conninfo, parallel)
        peak = max(peak, memory)
        return rate

    async def limit() -> float:
        return await _read(conninfo)

    work = f"rebuild of users, {USERS:,} users, {parallel} process{'es' * (parallel > 1)} (events)"
    against = "reading, unsealing and decoding alone"
    return await in_turns(work, against, ours, limit, aim=0.25, rounds=ROUNDS), peak


async def _against_the_library(ground: Ground, ours: float) -> Row:
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo) as log:
            # One event for each user, because the library's projection knows nothing of what was before.
            await seed(log.log, LIBRARY_EVENTS)
            prepare(log.standing)
            limit = await asyncio.to_thread(
                library_projection.events_per_second, conninfo, log.keys.keyring, LIBRARY_EVENTS
            )
    against = f"the library's ProjectionRunner, {LIBRARY_EVENTS:,} registrations"
    work = f"rebuild of users, {USERS:,} users, 1 process (events)"
    return Row(work=work, against=against, ours=ours, limit=limit, share=ours / limit, aim=15)


async def _read(conninfo: str) -> float:
    """Events per second, by one process."""
    reader = open_keys(standing(conninfo)).reader
    position, started = 0, time.perf_counter()
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        while page := await reader.read(connection, position, PAGE):
            position = page[-1].position
    return position / (time.perf_counter() - started)


async def _rebuild(conninfo: str, parallel: int) -> tuple[float, float]:
    """Events per second, and the most memory that one of the processes has held, in megabytes."""
    reader = open_keys(standing(conninfo)).reader
    workers = SpawnedWorkers(standing(conninfo))
    stages: dict[str, float] = {}
    peak = 0.0

    def progress(step: Progress) -> None:
        nonlocal peak
        stages.setdefault(step.stage, time.perf_counter())
        peak = max([peak, *(_megabytes(worker.pid) for worker in workers.running)])

    started = time.perf_counter()
    rebuilt = await rebuild(Users(), reader, conninfo, progress, workers=workers, parallel=parallel)
    ended = time.perf_counter()
    times = [*stages.values(), ended]
    spent = ", ".join(
        f"{stage} {until - since:.1f} s"
        for stage, since, until in zip(stages, times, times[1:], strict=False)
    )
    say(f"  {parallel} at once: {spent}; {peak:.0f} MB")
    return rebuilt.position / (ended - started), peak


def _megabytes(pid: int) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
