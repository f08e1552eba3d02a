"""Hashes secrets with bcrypt, in threads of its own, as many as there are cores.

There too secrets are checked against the hashes that accounts of other services came with.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from domain.errors import Overloaded
from domain.values import MAX_SECRET_BYTES
from infrastructure.accounts.foreign_hashes import check_of

T = TypeVar("T")

WAITING_PER_CORE = 64

NICENESS = 10
"""How far the threads step back (nice(2)): whoever does not log in must not wait for those who do."""


class BcryptHasher:
    """Implements the port PasswordHasher. bcrypt releases the interpreter lock while it works."""

    def __init__(self, cost: int) -> None:
        self._cost = cost
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.cores = cores
        self._threads = ThreadPoolExecutor(cores, "bcrypt", _step_back)
        self._limit = WAITING_PER_CORE * cores
        self.waiting = 0
        # Checked for an unknown user, so that the answer takes as long as for a known one.
        self._nobody = bcrypt.hashpw(os.urandom(16).hex().encode(), bcrypt.gensalt(cost))

    async def hash(self, secret: str) -> str:
        return await self._run(lambda: bcrypt.hashpw(secret.encode(), bcrypt.gensalt(self._cost)).decode())

    async def verify(self, secret: str, hashed: str | None) -> bool:
        given = secret.encode("utf-8", "replace")
        if hashed is not None and not hashed.startswith("$2"):
            # Each kind takes the time it was made to take, so that until its first login such an account can
            # be told from one that is not there.
            check = check_of(hashed)
            return check is not None and await self._run(lambda: check(given))
        too_long = len(given) > MAX_SECRET_BYTES
        against = self._nobody if hashed is None else hashed.encode()
        matches = await self._run(lambda: _matches(given[:MAX_SECRET_BYTES], against))
        return matches and hashed is not None and not too_long

    def outdated(self, hashed: str) -> bool:
        return not hashed.startswith("$2") or int(hashed[4:6]) != self._cost

    async def _run(self, work: Callable[[], T]) -> T:
        if self.waiting >= self._limit:
            raise Overloaded
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    # On Linux a priority belongs to a thread; elsewhere it would be that of the whole process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _matches(given: bytes, against: bytes) -> bool:
    try:
        return bcrypt.checkpw(given, against)
    except ValueError:
        # A hash that bcrypt cannot read matches nothing.
        return False
