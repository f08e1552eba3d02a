"""From `usersd run` on an existing data directory until it says that it is ready."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

from bench.ground import Ground
from bench.load import each
from bench.measuring import Row, say
from bench.peers.dialects import Ours
from bench.whole import stop, whole
from tests.support.program import Program

ROUNDS = 5
USERS = 200
AIM_SECONDS = 2.0


async def measure(ground: Ground) -> list[Row]:
    """One row."""
    with whole() as program:
        await asyncio.to_thread(program.start)
        ours = Ours(program.url)
        await each(ours.address, [ours.register(number) for number in range(USERS)])
        stop(program)
        taken = [await asyncio.to_thread(_started, program) for _ in range(ROUNDS)]
    imports = statistics.median([_imported() for _ in range(3)])
    say(f"  starts: {', '.join(f'{one:.2f}' for one in taken)} s; imports take {imports:.2f} s of each")
    median = statistics.median(taken)
    return [
        Row(
            work=f"start to ready on an existing data directory, median of {ROUNDS}",
            against="what is allowed",
            ours=median,
            limit=AIM_SECONDS,
            share=median / AIM_SECONDS,
            aim=1.0,
            unit=" s",
            rounds=ROUNDS,
        )
    ]


def _started(program: Program) -> float:
    """Seconds until `/readyz` has answered 200."""
    began = time.perf_counter()
    program.start()
    taken = time.perf_counter() - began
    stop(program)
    return taken


def _imported() -> float:
    began = time.perf_counter()
    load = "import infrastructure.commandline, infrastructure.serving, infrastructure.server.grpc"
    subprocess.run([sys.executable, "-c", load], check=True)
    return time.perf_counter() - began
