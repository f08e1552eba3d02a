"""Requests through bad weather: each is counted, and what nobody answered is sent again until it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx

from tests.chaos.book import Book

PATIENCE = 10.0
ANSWERED_WITHIN = 180.0
"""Seconds for which a request is sent again; the weather is never bad for so long."""

AGAIN = (429, 503)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Asking:
    """Asks one of several APIs at a time."""

    def __init__(self, apis: Sequence[httpx.AsyncClient], book: Book, chance: random.Random) -> None:
        self._apis = apis
        self._book = book
        self._chance = chance

    async def once(
        self, kind: str, verb: str, path: str, *, token: str = "", headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response | None:  # fmt: skip
        """The answer; None where there is none, so that nobody knows what was done."""
        sent = (bearer(token) if token else {}) | (headers or {})
        try:
            answer = await self._chance.choice(self._apis).request(verb, path, headers=sent, **more)
        except httpx.TransportError as error:
            self._book.count(kind, type(error).__name__)
            return None
        self._book.count(kind, str(answer.status_code))
        if answer.status_code >= 500 and answer.status_code != 503:
            self._book.fault(f"{answer.status_code} to {verb} of {kind}: {answer.text[:300]}")
        if answer.status_code == 503 and "retry-after" not in answer.headers:
            self._book.fault(f"503 without Retry-After to {verb} of {kind}")
        return answer

    async def until_answered(
        self, kind: str, verb: str, path: str, *, keyed: bool = False, **more: Any
    ) -> tuple[httpx.Response, bool]:
        """The first answer that says what was done, and whether there was a try before it that did not."""
        headers = {"Idempotency-Key": uuid4().hex} if keyed else {}
        deadline = asyncio.get_running_loop().time() + ANSWERED_WITHIN
        tried, pause = False, 0.05
        while asyncio.get_running_loop().time() < deadline:
            answer = await self.once(kind, verb, path, headers=headers, **more)
            busy = answer is not None and "in_use" in answer.text and answer.status_code == 409
            if answer is not None and answer.status_code not in AGAIN and not busy:
                return answer, tried
            tried = True
            self._book.repeated += 1
            await asyncio.sleep(pause * self._chance.uniform(0.5, 1.5))
            pause = min(2 * pause, 1.0)
        raise Unanswered(f"{verb} of {kind} was not answered for {ANSWERED_WITHIN:.0f} s")


class Unanswered(Exception):
    """A request that was sent again and again, and never answered."""
