"""Logins at saturation against raw bcrypt on as many threads as there are cores."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import msgspec

from bench import serving
from bench.ground import Ground
from bench.load import busy, request
from bench.measuring import Row, in_turns
from bench.profile import register_and_log_in

COST = 10
SECONDS = 8.0
SECRET = "changeMe123"


async def measure(ground: Ground) -> list[Row]:
    """One row."""
    with (
        ground.databases.fresh() as conninfo,
        serving.running(conninfo, MG_USERS_BCRYPT_COST=str(COST)) as address,
    ):
        await asyncio.to_thread(register_and_log_in, address)
        body = msgspec.json.encode({"identity": "ada", "secret": SECRET})
        raw = request(address, "POST", "/users/tokens/issue", {}, body)

        async def ours() -> float:
            load = await busy(address, raw, expected=201, seconds=SECONDS, connections=16)
            assert load.failed == 0, f"{load.failed} logins failed"
            return load.per_second

        async def limit() -> float:
            return await asyncio.to_thread(_raw)

        return [await in_turns("logins at saturation", "raw bcrypt.checkpw", ours, limit, aim=0.85)]


def _raw() -> float:
    hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(COST))
    cores = len(os.sched_getaffinity(0))
    until = time.perf_counter() + SECONDS / 2

    def check(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            bcrypt.checkpw(SECRET.encode(), hashed)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as threads:
        started = time.perf_counter()
        done = sum(threads.map(check, range(cores)))
        return done / (time.perf_counter() - started)
