"""Logins and registrations beside the peers', at the cost of bcrypt that the service has by default."""

from __future__ import annotations

import itertools

from bench.ground import Ground
from bench.load import Load, busy, chained
from bench.measuring import Row
from bench.peers.dialects import Dialect
from bench.peers.running import contenders
from bench.peers.turns import CONNECTIONS, compared, signed_up

COST = 10
SECONDS = 5.0


async def measure(ground: Ground) -> list[Row]:
    """Two rows for each peer, without an aim: nobody passes bcrypt."""
    numbers = itertools.count(1000)
    with contenders(COST) as found:
        for one in (found.ours, *found.peers):
            await signed_up(one.dialect, range(1))

        async def login(dialect: Dialect) -> Load:
            return await busy(
                dialect.address, dialect.login(0), expected=2, seconds=SECONDS, connections=CONNECTIONS
            )

        async def register(dialect: Dialect) -> Load:
            first = [dialect.register(next(numbers)) for _ in range(CONNECTIONS)]
            return await chained(
                dialect.address,
                first,
                lambda _: dialect.register(next(numbers)),
                expected=2,
                seconds=SECONDS,
            )

        return [
            *await compared(f"login, {CONNECTIONS} connections", found, login, aim=None),
            *await compared(f"register, {CONNECTIONS} connections", found, register, aim=None),
        ]
