"""What `usersd run` takes of a machine while nobody asks it anything, its two servers left out."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from bench.ground import Ground
from bench.load import each
from bench.measuring import Row, say
from bench.peers.dialects import Ours
from bench.whole import whole
from tests.support.program import Program

SETTLE = 15.0
SECONDS = 60.0
USERS = 200
CORE_PERCENT = 1.0
MEGABYTES = 250.0
TICKS = os.sysconf("SC_CLK_TCK")
SERVERS = ("postgres", "nats-server")


async def measure(ground: Ground) -> list[Row]:
    """Processor time over a minute, and memory at its end."""
    with whole() as program:
        await asyncio.to_thread(program.start)
        ours = Ours(program.url)
        await each(ours.address, [ours.register(number) for number in range(USERS)])
        await asyncio.sleep(SETTLE)
        before, began = _spent(program), time.perf_counter()
        await asyncio.sleep(SECONDS)
        percent = (_spent(program) - before) / (time.perf_counter() - began) * 100
        memory = sum(_resident(process) for process in _own(program))
        say(f"  {percent:.2f} % of a core, {memory:.0f} MB in {len(_own(program))} processes")
    return [
        _row(f"idle for {SECONDS:.0f} s, of a core", percent, CORE_PERCENT, " %"),
        _row("memory when idle", memory, MEGABYTES, " MB"),
    ]


def _row(work: str, ours: float, allowed: float, unit: str) -> Row:
    return Row(
        work=work,
        against="what is allowed",
        ours=ours,
        limit=allowed,
        share=ours / allowed,
        aim=1.0,
        unit=unit,
    )


def _own(program: Program) -> list[int]:
    """The program and what it has started, but for the servers and what they have started."""
    assert program.process is not None
    found, todo = [], [program.process.pid]
    while todo:
        process = todo.pop()
        if _name(process) in SERVERS:
            continue
        found.append(process)
        for task in Path(f"/proc/{process}/task").iterdir():
            todo += [int(child) for child in (task / "children").read_text().split()]
    return found


def _name(process: int) -> str:
    command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]
    return Path(command.decode()).name


def _spent(program: Program) -> float:
    """Seconds of processor time."""
    ticks = 0
    for process in _own(program):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _resident(process: int) -> float:
    """Megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
