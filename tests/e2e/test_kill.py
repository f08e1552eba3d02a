"""The service is killed again and again in the middle of its work, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random

from tests.e2e.everything import check_everything
from tests.support.load import Load, more_writes
from tests.support.program import Program

ROUNDS = int(os.environ.get("USERSD_KILL_ROUNDS", "6"))
SEED = int(os.environ.get("USERSD_KILL_SEED", "20261121"))


async def test_nothing_acknowledged_is_lost_however_often_the_service_is_killed(usersd: Program) -> None:
    """Every other time the servers and their nanny are killed with it, as when the power fails."""
    load, chance = Load(SEED), random.Random(SEED)
    for number in range(ROUNDS):
        await asyncio.to_thread(usersd.start)
        working = asyncio.create_task(load.run(usersd.url, asyncio.Event()))

        await more_writes(load, chance.randint(20, 120))
        assert not working.done(), f"round {number}: the load ended by itself: {usersd.output()}"
        await asyncio.to_thread(usersd.kill_everything if number % 2 else usersd.kill)
        await working
    await asyncio.to_thread(usersd.start)
    events = await check_everything(usersd, load)
    assert len(load.acknowledged) >= 20 * ROUNDS
    assert load.logins > ROUNDS
    assert events <= len(load.acknowledged) + 6 * ROUNDS + 1, "more was stored than was ever asked for"
