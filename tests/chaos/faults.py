"""What goes wrong, and when: a plan made from the seed, and the hand that carries it out and mends it."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from tests.chaos.book import Book
from tests.chaos.deployment import Deployment, Process
from tests.chaos.measures import Measures
from tests.chaos.network import BROKEN, Link

KINDS = {
    "kill api": 5, "kill projector": 4, "kill relay": 4, "kill mailer": 3, "kill sweeper": 2,
    "kill postgres": 3, "kill a backend of postgres": 1, "kill nats": 4,
    "stop api": 3, "stop projector": 2, "stop relay": 2, "stop mailer": 1, "stop sweeper": 1,
    "stop postgres": 2, "stop nats": 2,
    "break the way of one to postgres": 6, "break the way of one to nats": 3,
    "break every way to postgres": 2, "break every way to nats": 2,
    "fill the disk": 2, "put a clock wrong": 4,
}  # fmt: skip
"""How often each is done, against the others."""

SERVERS = ("postgres", "nats")
FULL = 4.0
"""Seconds for which the disk is full at the longest."""

WRONG_BY = 60.0
"""Seconds by which a clock is wrong at the most, either way."""

FORGIVEN = 2.0
"""Seconds by which each API may be wrong without refusing what another one has issued."""


class Fault(msgspec.Struct, frozen=True):
    """What is done after so many seconds; `dice` decides about whatever of it is chance."""

    after: float
    kind: str
    dice: int


def plan(seed: int, seconds: float, every: float) -> list[Fault]:
    """The faults of a storm: each kind once in every round if there is time, in an order of chance."""
    chance = random.Random(seed)
    bag: list[str] = []
    faults, after = [], min(every, 1.0)
    while after < seconds:
        if not bag:
            bag = [kind for kind, times in KINDS.items() for _ in range(times)]
            chance.shuffle(bag)
        faults.append(Fault(after, bag.pop(), chance.getrandbits(32)))
        after += chance.expovariate(1 / every)
    return faults


class Hand:
    """Carries out faults; what ends them is due at its own time."""

    def __init__(self, deployment: Deployment, measures: Measures, book: Book) -> None:
        self._deployment = deployment
        self._ground = deployment.ground
        self._book = book
        self._longest = measures.longest
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.done: Counter[str] = Counter()
        self.left_out: list[str] = []
        self.diary: list[tuple[float, str]] = []
        self.began = time.monotonic()
        self._whom = ""

    def do(self, fault: Fault) -> None:
        """Do it, if there is anybody to do it to."""
        chance = random.Random(fault.dice)
        verb, _, whom = fault.kind.partition(" ")
        self._whom = ""
        if done := self._act(verb, whom, chance):
            self.done[done] += 1
            self.diary.append((time.monotonic(), f"{done} {self._whom}".strip()))

    def follow_up(self, *, at_once: bool = False) -> None:
        """Mend what is due, or with `at_once` whatever is still broken."""
        while self._due and (at_once or self._due[0][0] <= time.monotonic()):
            heapq.heappop(self._due)[2]()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def _act(self, verb: str, whom: str, chance: random.Random) -> str:
        """What was done, in words; nothing where there was nobody."""
        if verb == "kill":
            return self._kill(whom, chance)
        if verb == "stop":
            return self._stop(whom, chance)
        if verb == "break":
            return self._break(whom, chance)
        if verb == "fill":
            return self._fill(chance)
        return self._put_wrong(chance)

    def _one(self, chance: random.Random, role: str = "") -> Process | None:
        up = [one for one in self._deployment.processes if one.is_up and role in ("", one.role)]
        return chance.choice(up) if up else None

    def _kill(self, whom: str, chance: random.Random) -> str:
        if whom in SERVERS:
            return f"kill {whom}" if self._ground.kill(whom) else ""
        if whom == "a backend of postgres":
            return f"kill {whom}" if self._ground.kill_a_backend(chance.random()) else ""
        if (process := self._one(chance, whom)) is None:
            return ""
        self._whom = f"({process.name})"
        self._deployment.kill(process, chance.choice((0.0, chance.random() * self._longest / 2)))
        return f"kill {whom}"

    def _stop(self, whom: str, chance: random.Random) -> str:
        seconds = 0.3 + chance.random() * self._longest
        self._whom = f"for {seconds:.1f} s"
        if whom in SERVERS:
            if not self._ground.stop(whom):
                return ""
            self._later(seconds, self._ground.go_on)
            return f"stop {whom}"
        process = self._one(chance, whom)
        if process is None or process.member is None:
            return ""
        member = process.member
        self._whom += f" ({process.name})"
        member.signal(signal.SIGSTOP)
        self._later(seconds, lambda: member.signal(signal.SIGCONT))
        return f"stop {whom}"

    def _break(self, whom: str, chance: random.Random) -> str:
        server = "postgres" if "postgres" in whom else "nats"
        weather = chance.choice(BROKEN)
        delay = chance.uniform(0.02, 0.3)
        one = self._one(chance)
        hurt = [one] if whom.startswith("the way of one") and one else self._deployment.processes
        links: list[Link] = [process.postgres if server == "postgres" else process.nats for process in hurt]
        for link in links:
            link.become(weather, delay)

        def mend() -> None:
            for link in links:
                link.become("fair")

        seconds = 0.3 + chance.random() * self._longest
        self._whom = f"({hurt[0].name}) for {seconds:.1f} s"
        self._later(seconds, mend)
        return f"{weather}: {'one' if len(links) == 1 else 'everybody'} to {server}"

    def _fill(self, chance: random.Random) -> str:
        if not self._ground.fill():
            words = "fill the disk: a folder of limited size takes root and mount(8)"
            self.left_out = sorted({*self.left_out, words})
            return ""
        self._later(0.5 + chance.random() * FULL, self._ground.free)
        return "fill the disk"

    def _put_wrong(self, chance: random.Random) -> str:
        if (process := self._one(chance)) is None:
            return ""
        forgiven = process.role == "api" and chance.random() < 0.7
        by = chance.choice((-1, 1)) * chance.uniform(1, FORGIVEN if forgiven else WRONG_BY)
        clock = process.clock
        seconds = 1 + chance.random() * 2 * self._longest
        self._whom = f"({process.name}) by {by:.0f} s for {seconds:.1f} s"
        clock.set(by)
        if process.role == "api" and not forgiven:
            # What was issued by a clock that is ahead is refused until that time has come.
            until = time.monotonic() + seconds + abs(by) + 2
            self._book.doubtful_until = max(self._book.doubtful_until, until)
        self._later(seconds, lambda: clock.set(0.0))
        return f"put the clock of {process.role} {'forward' if by > 0 else 'back'}"
