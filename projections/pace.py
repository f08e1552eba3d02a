"""How fast a rebuild may go."""

from __future__ import annotations

import asyncio
import time

from projections.others import Others

PAGE = 5000
"""Events that are taken in at once where nothing limits the rate."""

BRIEF = 1000
"""Events that are taken in at once while others work: requests wait for no longer than that takes."""


class Pace:
    """Counts events against the clock: no more than `rate` a second are taken in, None: all that can be.

    While others are at work, `sharers` that take events in at once leave them half of the time together.
    """

    def __init__(self, rate: float | None = None, others: Others | None = None, sharers: int = 1) -> None:
        self._rate = rate
        self._others = others
        self._rests = 2 * sharers - 1
        self._next = self._rested = time.monotonic()

    def page(self, most: int = PAGE) -> int:
        """How many events to take in at once: few where few are allowed, so that pauses are short."""
        if self._others is not None and self._others.at_work:
            most = min(most, BRIEF)
        return most if self._rate is None else max(1, min(most, round(self._rate / 4)))

    async def spend(self, events: int) -> None:
        """Wait for as long as so many events may take."""
        now = time.monotonic()
        pause = 0.0
        if self._others is not None and self._others.at_work:
            pause = (now - self._rested) * self._rests
        if self._rate is not None:
            # What was not used is gone: after a long page nothing is caught up in a rush.
            self._next = max(self._next, now) + events / self._rate
            pause = max(pause, self._next - now)
        await asyncio.sleep(pause)
        self._rested = time.monotonic()
