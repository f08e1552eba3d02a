"""How fast a rebuild may go."""

from __future__ import annotations

import asyncio
import time

PAGE = 5000
"""Events that are taken in at once where nothing limits the rate."""


class Pace:
    """Counts events against the clock: no more than `rate` a second are taken in, None: all that can be."""

    def __init__(self, rate: float | None = None) -> None:
        self._rate = rate
        self._next = time.monotonic()

    def page(self, most: int = PAGE) -> int:
        """How many events to take in at once: few where few are allowed, so that pauses are short."""
        return most if self._rate is None else max(1, min(most, round(self._rate / 4)))

    async def spend(self, events: int) -> None:
        """Wait for as long as so many events may take."""
        if self._rate is None:
            await asyncio.sleep(0)
            return
        now = time.monotonic()
        # What was not used is gone: after a long page nothing is caught up in a rush.
        self._next = max(self._next, now) + events / self._rate
        await asyncio.sleep(self._next - now)
