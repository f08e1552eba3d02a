"""One run of the fuzzer: requests by number, each made of the seed, the number and what came before."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.fuzz import oracles
from tests.fuzz.mutations import mutate
from tests.fuzz.pool import Account, Pool
from tests.fuzz.raw import spoil
from tests.fuzz.requests import Request, valid
from tests.fuzz.routes import Operation, operations
from tests.fuzz.wire import Exchange, exchange
from tests.support.program import Program

AT_ONCE = 40
"""Requests on their way together: what number n is made of is known from the answers before n - AT_ONCE.

Those on their way can race for one account, so that only one at a time is the same run each time.
"""

FEWEST = 8
"""Accounts to begin with."""

_FOLLOW_UP = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: follow-up\r\nConnection: close\r\n\r\n"
_ROOT = Account("", "admin@example.com", "12345678", "admin", role="admin")


@dataclass
class Find:
    """A fault, the first request that showed it, and how often it was seen."""

    fault: str
    operation: str
    number: int
    changes: list[str]
    sent: bytes
    answered: str
    times: int = 1


@dataclass
class Report:
    """What was sent and what came of it."""

    seed: int
    requests: int = 0
    seconds: float = 0.0
    by_route: dict[str, Counter[str]] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    overloaded: int = 0
    slowest: float = 0.0
    finds: dict[tuple[str, str], Find] = field(default_factory=dict)
    readers: dict[str, tuple[int, Request, bytes, Exchange]] = field(default_factory=dict)
    """Who was shown private metadata that is not theirs, and when: as an admin they may be."""
    memory: list[int] = field(default_factory=list)
    """MiB that the process holds, about each ten seconds."""


class Campaign:
    """Fuzzes one running service."""

    def __init__(self, usersd: Program, seed: int, at_once: int = AT_ONCE) -> None:
        split = urlsplit(usersd.url)
        self._host, self._port = split.hostname or "127.0.0.1", split.port or 0
        self._status = Path(f"/proc/{usersd.process.pid if usersd.process else 0}/status")
        self._seed = seed
        self._at_once = at_once
        self._operations = operations()
        self._issued: set[bytes] = set()
        self._repeatable: list[Request] = []
        self.pool = Pool(Account(**vars(_ROOT)))
        self.report = Report(seed)

    async def run(self, seconds: float, requests: int = 0) -> Report:
        """Send until the time is over, or exactly so many requests."""
        began = measured = time.monotonic()
        going: deque[tuple[int, Request, bytes, asyncio.Task[Exchange]]] = deque()
        number = 0
        self.report.memory.append(self.memory())
        while (number < requests) if requests else (time.monotonic() - began < seconds):
            if len(going) == self._at_once:
                await self._settle(*going.popleft())
            request = self._request(number)
            sent = request.written()
            going.append((number, request, sent, asyncio.create_task(self._exchange(request, sent))))
            number += 1
            if time.monotonic() - measured > 10:
                measured = time.monotonic()
                self.report.memory.append(self.memory())
        while going:
            await self._settle(*going.popleft())
        self.report.requests, self.report.seconds = number, time.monotonic() - began
        self.report.memory.append(self.memory())
        return self.report

    def memory(self) -> int:
        """MiB that the service's process holds."""
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))

    def _request(self, number: int) -> Request:
        chance = random.Random(f"{self._seed}:{number}")
        if needed := self._needed(chance):
            return needed
        if self._repeatable and chance.random() < 0.03:
            request = chance.choice(self._repeatable).copied()
            request.changes.append("sent again")
            if chance.random() < 0.3:
                mutate(request, self.pool, chance)
            return request
        request = valid(chance.choice(self._operations), self.pool, chance)
        if any(name == b"Idempotency-Key" for name, _ in request.headers):
            self._repeatable = [*self._repeatable[-20:], request.copied()]
        way = chance.random()
        if way < 0.25:
            return request
        if way < 0.72:
            mutate(request, self.pool, chance)
            if chance.random() < 0.2:
                request.follow_up = _FOLLOW_UP
            return request
        if chance.random() < 0.3:
            mutate(request, self.pool, chance)
        spoil(request, chance)
        return request

    def _needed(self, chance: random.Random) -> Request | None:
        """What must be sent as it should be, so that there are users who can send anything at all."""
        pool = self.pool
        if not pool.root.access:
            return valid(self._named("issue"), pool, chance, pool.root)
        if pool.errands:
            name, account_id = pool.errands.pop(0)
            return valid(self._named(name), pool, chance, pool.of(account_id))
        if len(pool.accounts) < FEWEST:
            return valid(self._named("register"), pool, chance)
        return None

    def _named(self, name: str) -> Operation:
        return next(operation for operation in self._operations if operation.name == name)

    async def _exchange(self, request: Request, sent: bytes) -> Exchange:
        whole = request.raw is None and request.method != b"CONNECT"
        bodiless = 0 if not sent.startswith(b"HEAD ") else 1 if whole else 100
        return await exchange(self._host, self._port, sent, whole=whole, bodiless=bodiless)

    async def _settle(self, number: int, request: Request, sent: bytes, task: asyncio.Task[Exchange]) -> None:
        result = await task
        report = self.report
        report.slowest = max(report.slowest, result.seconds)
        report.changes.update(request.changes or ["none"])
        finals = [answer for answer in result.answers if answer.status >= 200]
        told = str(finals[0].status) if finals else "reset" if result.reset else "none"
        report.by_route.setdefault(request.operation.name, Counter())[told] += 1
        report.overloaded += sum(answer.status == 503 for answer in finals)
        wrong = list(oracles.faults(request, sent, result, self._issued))
        for answer in finals:
            if reader := oracles.shown_to_a_stranger(request, sent, answer):
                report.readers.setdefault(reader, (number, request, sent, result))
        if request.raw is None and finals:
            oracles.learn(request, finals[0], self.pool, self._issued)
        for fault in wrong:
            self._note(fault, number, request, sent, result)

    def judge_readers(self, admins: set[str]) -> None:
        """Note those who were never admins; a role may change while requests are on their way."""
        for reader, (number, request, sent, result) in self.report.readers.items():
            if reader not in admins:
                self._note(oracles.STRANGER, number, request, sent, result)

    def _note(self, fault: str, number: int, request: Request, sent: bytes, result: Exchange) -> None:
        key = fault, request.operation.name
        if key in self.report.finds:
            self.report.finds[key].times += 1
            return
        answered = "; ".join(f"{answer.head!r} {answer.body[:500]!r}" for answer in result.answers)
        answered += f" {result.rest[:300]!r}" if result.rest else ""
        self.report.finds[key] = Find(fault, key[1], number, request.changes, sent, answered)
