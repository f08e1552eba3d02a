"""Registrations over HTTP at saturation, against raw bcrypt on as many threads as there are cores."""

from __future__ import annotations

import asyncio
import itertools

import bcrypt

from bench.ground import Ground
from bench.hashing import COST, SECRET, per_second
from bench.load import chained
from bench.measuring import Row, in_turns
from bench.peers.dialects import Ours
from bench.whole import whole

CONNECTIONS = 16
SECONDS = 8.0


async def measure(ground: Ground) -> list[Row]:
    """One row, of the whole of `usersd run`."""
    with whole(MG_USERS_BCRYPT_COST=str(COST)) as program:
        await asyncio.to_thread(program.start)
        dialect, numbers = Ours(program.url), itertools.count()

        async def ours() -> float:
            load = await chained(
                dialect.address,
                [dialect.register(next(numbers)) for _ in range(CONNECTIONS)],
                lambda _: dialect.register(next(numbers)),
                expected=201,
                seconds=SECONDS,
            )
            assert load.failed == 0, f"{load.failed} registrations failed: {load.refusal}"
            return load.per_second

        async def limit() -> float:
            return await asyncio.to_thread(
                per_second, lambda: bcrypt.hashpw(SECRET, bcrypt.gensalt(COST)), SECONDS / 2
            )

        return [await in_turns("registrations at saturation", "raw bcrypt.hashpw", ours, limit, aim=0.9)]
