"""Tries every revoked token on every API, a second after its end was acknowledged and when all is calm."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Sequence

import httpx

from tests.chaos.asking import bearer
from tests.chaos.book import Book, Revoked

WITHIN = 1.0
"""Seconds after which a token whose end was acknowledged must be refused."""

AT_ONCE = 4
MOST = 1000
"""Tokens that are tried once more at the end, on each API."""


class Prober:
    """Tries tokens on one API, as soon as they are due and whenever it can be reached."""

    def __init__(self, name: str, http: httpx.AsyncClient, book: Book) -> None:
        self._name = name
        self._http = http
        self._book = book
        self._due: list[tuple[float, int, Revoked]] = []
        self._numbers = itertools.count()

    def hear(self, revoked: Revoked) -> None:
        self._later(revoked, revoked.since + WITHIN)

    async def run(self) -> None:
        """Try until cancelled."""
        await asyncio.gather(*(self._try_what_is_due() for _ in range(AT_ONCE)))

    async def _try_what_is_due(self) -> None:
        while True:
            if not self._due or self._due[0][0] > time.monotonic():
                await asyncio.sleep(0.02)
                continue
            _, _, revoked = heapq.heappop(self._due)
            if not await self.refuses(revoked):
                self._later(revoked, time.monotonic() + 0.3)

    def _later(self, revoked: Revoked, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), revoked))

    async def refuses(self, revoked: Revoked) -> bool:
        """Whether it said what the token is worth; a fault where that is more than nothing."""
        after = time.monotonic() - revoked.since
        verb, path = (
            ("GET", "/users/profile") if revoked.kind == "access" else ("POST", "/users/tokens/refresh")
        )
        try:
            answer = await self._http.request(verb, path, headers=bearer(revoked.token))
        except httpx.TransportError:
            self._book.count("revoked token", "no answer")
            return False
        self._book.count("revoked token", str(answer.status_code))
        if answer.status_code == 503:
            return False
        self._book.tried += 1
        if answer.status_code != 401:
            self._book.fault(
                f"a session survived: {answer.status_code} by {self._name} to a {revoked.kind} token, sent "
                f"{after:.2f} s after its end was acknowledged ({revoked.why})"
            )
        return True


async def try_all(probers: list[Prober], book: Book) -> None:
    """When all is calm: the tokens that were revoked last, each on every API."""
    last = book.revoked[-MOST:]

    async def by(prober: Prober, tokens: Sequence[Revoked]) -> None:
        for revoked in tokens:
            if not await prober.refuses(revoked):
                book.fault("an API did not answer though all was calm")

    await asyncio.gather(*(by(prober, last[part::AT_ONCE]) for prober in probers for part in range(AT_ONCE)))
