"""Raw bcrypt on as many threads as there are cores: what nothing that hashes secrets can pass."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

COST = 10
SECRET = b"changeMe123"


def per_second(work: Callable[[], object], seconds: float) -> float:
    """How often a second it can be done, all cores together, for so many seconds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    until = time.perf_counter() + seconds

    def again(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            work()
            done += 1
        return done

    with ThreadPoolExecutor(cores) as threads:
        started = time.perf_counter()
        return sum(threads.map(again, range(cores))) / (time.perf_counter() - started)
