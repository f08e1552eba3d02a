"""Bringing accounts in from a file, against the append path's own rate; what follows it, and its memory.

`BENCH_USERS` says how many are brought in beside a running service, 200,000 unless told.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg

from application.import_runs import ImportWanted
from bench.ground import Ground, append_all, event_log, registration
from bench.measuring import Row, in_turns, say
from bench.whole import stop, whole
from infrastructure.importing.bringing import bring
from infrastructure.importing.files import NdjsonSource
from infrastructure.operations.invented import SECRET_HASH
from tests.support.program import USERSD, Program

USERS = int(os.environ.get("BENCH_USERS", "200000"))
EVENTS = 20_000
CALLERS = 256
MOST_SECONDS = 10.0
MOST_MEGABYTES = 300.0

_BEHIND = """
SELECT coalesce(min(position), 0) = (SELECT max(position) FROM events) FROM projections WHERE live"""


async def measure(ground: Ground) -> list[Row]:
    """Three rows."""
    return [await _rate(ground), *await asyncio.to_thread(_beside_a_service)]


async def _rate(ground: Ground) -> Row:
    """Accounts with a hash and two names from a file, beside registrations of many callers."""
    numbers = iter(range(100_000_000, 200_000_000))
    with ExitStack() as stack:
        conninfo = stack.enter_context(ground.databases.fresh())
        async with event_log(conninfo) as log:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="usersd-bench-"))
            file = Path(folder) / "accounts.ndjson"

            async def ours() -> float:
                _write(file, [next(numbers) for _ in range(EVENTS)])
                done = await bring(conninfo, log.keys, NdjsonSource(file), ImportWanted())
                assert done.imported == EVENTS, done
                return EVENTS / done.seconds

            async def limit() -> float:
                changes = [registration(next(numbers)) for _ in range(EVENTS)]
                return await append_all(log.log, changes, CALLERS)

            return await in_turns(
                "accounts imported from NDJSON, with a hash and two names",
                f"appends of one event with two keys, {CALLERS} callers",
                ours,
                limit,
                aim=0.5,
            )


def _beside_a_service() -> list[Row]:
    with whole() as program:
        program.start()
        file = program.home / "accounts.ndjson"
        _write(file, range(USERS))
        done, megabytes = _imported(program, file)
        ended = time.perf_counter()
        with psycopg.connect(program.postgres, autocommit=True) as connection:
            while connection.execute(_BEHIND).fetchone() != (True,):
                time.sleep(0.05)
        behind = time.perf_counter() - ended
        stop(program)
    say(f"  {done['imported']:,} accounts beside a service: {done['imported'] / done['seconds']:,.0f}/s")
    many = f"{USERS:,} accounts imported beside a running service"
    return [
        _cost(f"{many}: read models behind at its end", behind, MOST_SECONDS, " s"),
        _cost(f"{many}: the most memory that the import held", megabytes, MOST_MEGABYTES, " MB"),
    ]


def _imported(program: Program, file: Path) -> tuple[dict[str, Any], float]:
    """What the import said at its end, and the most megabytes that it held."""
    out = program.home / "imported"
    with open(out, "wb") as told:
        process = subprocess.Popen(
            [str(USERSD), "import", "--from", str(file), "--json"],
            env=program.environ,
            stdin=subprocess.DEVNULL,
            stdout=told,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    done: dict[str, Any] = json.loads(out.read_text())
    assert done["imported"] == USERS, done
    return done, usage.ru_maxrss / 1024


def _cost(work: str, ours: float, most: float, unit: str) -> Row:
    return Row(
        work=work, against="what is allowed", ours=ours, limit=most, share=ours / most, aim=1.0, unit=unit
    )


def _write(file: Path, numbers: Iterable[int]) -> None:
    encode = msgspec.json.Encoder().encode
    with open(file, "wb") as opened:
        for number in numbers:
            opened.write(encode(_account(number)) + b"\n")


def _account(number: int) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "email": f"user{number}@site{number % 97}.example.com",
        "username": f"user{number}",
        "first_name": "Ada",
        "last_name": f"Lovelace {number % 1000}",
        "tags": ["sensor", f"site-{number % 97}"],
        "metadata": {"site": number % 97, "plan": "basic", "locale": "en"},
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-02-01T00:00:00.123456Z",
        "verified_at": "2024-01-01T00:00:10Z",
        "secret_hash": SECRET_HASH,
    }
