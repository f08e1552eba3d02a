"""A write waits for the read model and never for a poll: no notification is lost on the way."""

from __future__ import annotations

import asyncio

from infrastructure.postgres.notifications import Signal
from infrastructure.reads.visibility import PostgresVisibility

NOWHERE = "host=/nowhere"


async def test_what_is_notified_while_a_task_is_busy_is_not_lost_on_it() -> None:
    signal = Signal()
    heard: list[bool] = []

    async def reader() -> None:
        while len(heard) < 2:
            heard.append(await signal.wait(60))
            signal.fire()  # arrives before the next wait begins

    task = asyncio.create_task(reader())
    await asyncio.sleep(0)
    signal.fire()
    await asyncio.wait_for(task, 5)
    assert heard == [True, True]


async def test_every_task_that_waits_hears_of_the_same_notification() -> None:
    signal = Signal()
    tasks = [asyncio.create_task(signal.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    signal.fire()
    assert await asyncio.wait_for(asyncio.gather(*tasks), 5) == [True, True, True]


async def test_a_wait_ends_without_a_notification() -> None:
    signal = Signal()
    signal.fire()
    assert await signal.wait(0.01) is False


async def test_the_progress_of_one_read_model_is_not_hidden_by_that_of_another() -> None:
    signal = Signal()
    async with PostgresVisibility(NOWHERE, signal) as visibility:
        waiting = asyncio.create_task(visibility.wait(7, 60))
        await asyncio.sleep(0)
        signal.fire("users:1:7")
        signal.fire("signups:1:7")
        signal.fire("history:1:7")  # in the same turn of the loop
        assert await asyncio.wait_for(waiting, 0.5)
