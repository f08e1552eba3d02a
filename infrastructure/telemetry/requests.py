"""Counts requests on the hot path: a look-up and three additions each; everything else is done at a scrape.

One event loop answers every request, so that nothing here needs a lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds in seconds: a read takes about one millisecond, a write some, a login as long as its hash."""

RECENT = 1_000
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OTHER = "other"
"""Stands for every method that is not in METHODS: a label never holds what a caller made up."""


class Timed:
    """What is known of the requests with one method, route and status."""

    __slots__ = ("counts", "recent", "seconds")

    def __init__(self, recent: deque[float]) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.recent = recent

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and how many requests took at most so long."""
        bounds = [*map(str, BUCKETS), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self.counts), strict=True)]


class RequestTimes:
    """Times of requests by method, template of the route, and status."""

    def __init__(self) -> None:
        self.timed: dict[tuple[str, str, int], Timed] = {}
        self._recent: dict[tuple[str, str], deque[float]] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered. `route` is a template, never a path that was sent."""
        timed = self.timed.get((method, route, status)) or self._first(method, route, status)
        timed.counts[bisect_left(BUCKETS, seconds)] += 1
        timed.seconds += seconds
        timed.recent.append(seconds)

    def _first(self, method: str, route: str, status: int) -> Timed:
        if method not in METHODS:
            method = OTHER
        recent = self._recent.setdefault((method, route), deque(maxlen=RECENT))
        return self.timed.setdefault((method, route, status), Timed(recent))
