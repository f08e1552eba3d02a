"""Whoever works until cancelled ends, even where a library drops the cancellation."""

from __future__ import annotations

import asyncio
import contextlib

from application.cancelling import heed_cancellation


async def dropped() -> None:
    """Waits, and drops a cancellation as a library might."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_a_cancellation_that_was_dropped_is_heeded_in_the_next_round() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while True:
            heed_cancellation()
            rounds += 1
            await dropped()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert (task.cancelled(), rounds) == (True, 1)


async def test_a_limit_of_time_that_has_passed_is_no_cancellation() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    heed_cancellation()
