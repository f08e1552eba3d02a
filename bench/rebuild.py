"""A rebuild of the users read model against the library's ProjectionRunner on the same table."""

from __future__ import annotations

import asyncio
import os
import time

from bench import library_projection
from bench.ground import Ground, event_log, seed
from bench.measuring import Row, in_turns, say
from infrastructure.standing import prepare
from projections.catalogue import by_name
from projections.rebuild import rebuild

USERS = int(os.environ.get("BENCH_USERS", "200000"))
LIBRARY_EVENTS = 5_000


async def measure(ground: Ground) -> list[Row]:
    """Both on one log; ours builds every index too, after the rows."""
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo) as log:
            say(f"  registering {USERS:,} users")
            await seed(log.log, USERS)
            prepare(log.standing)
            model = by_name("users")
            assert model is not None

            async def ours() -> float:
                started = time.perf_counter()
                await rebuild(model, log.keys.reader, conninfo)
                return USERS / (time.perf_counter() - started)

            async def limit() -> float:
                return await asyncio.to_thread(
                    library_projection.events_per_second, conninfo, log.keys.keyring, LIBRARY_EVENTS
                )

            work = f"rebuild of users, {USERS:,} users, indexes included (events)"
            against = f"the library's ProjectionRunner, {LIBRARY_EVENTS:,} of the events"
            return [await in_turns(work, against, ours, limit, aim=15)]
