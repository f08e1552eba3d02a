"""Waits for what a test is about, never for time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[object]], within: float = 30.0) -> None:
    """Return when an asynchronous condition holds; fail with its last answer when it does not in time."""
    deadline = time.monotonic() + within
    while not (last := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {within} s: {last!r}")
        await asyncio.sleep(0.01)


def at_last(condition: Callable[[], object], within: float = 30.0) -> None:
    """As `eventually`, for a condition that is not asynchronous."""
    deadline = time.monotonic() + within
    while not (last := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {within} s: {last!r}")
        time.sleep(0.01)
