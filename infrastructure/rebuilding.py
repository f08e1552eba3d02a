"""Fills the parts of a rebuild in processes of their own, because one Python interpreter uses one core."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

import msgspec
import psycopg

from application.operations import WorkerLost
from infrastructure.logs import configure, marks
from infrastructure.process import tune
from infrastructure.standing import Standing, open_keys
from projections.generation import Generation
from projections.parts import Moved, Part, fill
from projections.priority import step_back

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the database was away


class Job(msgspec.Struct, frozen=True):
    """What a worker is told, over a pipe: neither a command line nor an environment may hold keys."""

    conninfo: str
    root_key: bytes
    module: str
    kind: str
    generation: int
    part: Part
    rate: float | None
    gentle: bool
    log_level: int | None
    path: Sequence[str]
    marks: dict[str, str]


class SpawnedWorkers:
    """Implements the port Workers: a process for each part, which ends when this one does."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.running: list[asyncio.subprocess.Process] = []

    async def fill(
        self, generation: Generation, parts: Sequence[Part], rate: float | None, *, gentle: bool
    ) -> None:
        kind = type(generation.model)
        root = logging.getLogger()
        workers = self.running = []
        try:
            for part in parts:
                job = Job(
                    self._standing.direct,
                    self._standing.root_key,
                    kind.__module__,
                    kind.__qualname__,
                    generation.number,
                    part,
                    rate / len(parts) if rate else None,
                    gentle,
                    root.level if root.handlers else None,
                    sys.path,
                    dict(marks()),
                )
                workers.append(await _start(job))
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(_well_ended(worker))
        except* WorkerLost as lost:
            raise lost.exceptions[0] from None
        finally:
            for worker in workers:
                # Its input is what it lives by.
                assert worker.stdin is not None
                worker.stdin.close()
            await asyncio.gather(*(worker.wait() for worker in workers))


async def _start(job: Job) -> asyncio.subprocess.Process:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infrastructure.rebuilding", stdin=asyncio.subprocess.PIPE,
        # Ctrl-C is for the one who started it.
        start_new_session=True,
    )  # fmt: skip
    assert worker.stdin is not None
    with contextlib.suppress(ConnectionError):
        worker.stdin.write(msgspec.json.encode(job) + b"\n")
        await worker.stdin.drain()
    return worker


async def _well_ended(worker: asyncio.subprocess.Process) -> None:
    code = await worker.wait()
    if code:
        raise WorkerLost(code)


def main() -> None:
    """What a worker does: hear its job, fill its part, and end at once when nobody holds its input."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if job.gentle:
        step_back()
    if job.log_level is not None:
        configure("debug" if job.log_level <= logging.DEBUG else "info", of=job.marks)
    sys.path[:] = job.path
    model = getattr(importlib.import_module(job.module), job.kind)()
    standing = Standing(conninfo=job.conninfo, direct=job.conninfo, nats_url="", root_key=job.root_key)
    reader = open_keys(standing).reader
    tune()
    work = fill(job.conninfo, reader, model, job.generation, job.part, job.rate, gentle=job.gentle)
    try:
        asyncio.run(work)
    except psycopg.OperationalError as error:
        logging.getLogger("usersd.projections").warning(
            "a rebuild lost its database (%s)", type(error).__name__
        )
        raise SystemExit(TRY_AGAIN) from None
    except Moved:
        raise SystemExit(TRY_AGAIN) from None


def _end_with_the_caller() -> None:
    # Not through the file object: its lock would be held when this process ends by itself.
    os.read(sys.stdin.fileno(), 1)
    os._exit(TRY_AGAIN)


if __name__ == "__main__":
    main()
