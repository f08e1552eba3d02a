"""What goes wrong, and when: a plan made from the seed, and the hand that carries it out."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import psycopg

from tests.soak.ground import Ground
from tests.soak.measures import Measures
from tests.soak.operating import operate
from tests.soak.processes import Crew, Member
from tests.soak.writing import crowd

_OWNERS = (
    "SELECT owner FROM projections WHERE owner IS NOT NULL AND lease_until > now() ORDER BY name, generation"
)

_OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
ORDER BY pid"""

_TEAR = """
UPDATE projections SET fencing = fencing + 1, owner = 'nobody', lease_until = now() - interval '1 s'
WHERE state <> 'building'"""

KINDS = {
    "kill the owner": 4,
    "kill a stand-by": 2,
    "stop the owner beyond its lease": 2,
    "pause anybody": 2,
    "cut connections": 2,
    "tear all leases": 2,
    "hold back appends": 2,
    "kill a writer": 2,
    "kill a reader": 6,
    "command": 8,
}
"""How often each is done, against the others."""

SERVER = ("kill the server", "crash a backend")
"""What takes the whole database away for a moment: not by chance, but spread over the time."""

COMMANDS = {
    "rebuild": 4,
    "rebuild --no-switch": 2,
    "rebuild --anew --parallel 2": 1,
    "rebuild --user": 1,
    "switch": 2,
    "rollback": 3,
    "drop-old": 1,
    "verify": 1,
    "pause": 1,
}
KILLED = 0.25
"""The part of the commands that are killed before they are done."""


class Fault(msgspec.Struct, frozen=True):
    """What is done after so many seconds; `dice` decides about whatever of it is chance."""

    after: float
    kind: str
    dice: int


def plan(seed: int, seconds: float, every: float, early: float, outages: int) -> list[Fault]:
    """The faults of a run: one `every` so many seconds on average, and outages of the database early on."""
    chance = random.Random(seed)
    faults, after = [], 0.5
    while (after := after + chance.expovariate(1 / every)) < seconds:
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        faults.append(Fault(after, kind, chance.getrandbits(32)))
    for number in range(outages):
        after = early * (number + 0.7) / (outages + 0.7)
        faults.append(Fault(after, SERVER[number % len(SERVER)], chance.getrandbits(32)))
    return sorted(faults, key=lambda fault: fault.after)


class Hand:
    """Carries out faults; what must follow later, such as a new start, is due at its own time."""

    def __init__(self, ground: Ground, crew: Crew, models: list[str], measures: Measures) -> None:
        self._ground = ground
        self._crew = crew
        self._models = models
        self._lease = measures.lease
        self._page = measures.page
        self._users = crowd(measures.seed, measures.users)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.done: Counter[str] = Counter()
        self.diary: list[tuple[float, str]] = []
        self.commands: list[tuple[str, Member, bool]] = []

    def do(self, fault: Fault) -> None:
        """Do it, as far as there is somebody to do it to."""
        chance = random.Random(fault.dice)
        if self._does[fault.kind](self, chance):
            self.done[fault.kind] += 1
            self.diary.append((time.time(), fault.kind))

    def follow_up(self, *, at_once: bool = False) -> None:
        """Do what is due, or with `at_once` whatever is still to come."""
        while self._due and (at_once or self._due[0][0] <= time.monotonic()):
            heapq.heappop(self._due)[2]()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def _owner(self, chance: random.Random) -> Member | None:
        pids = [int(owner.split("/")[1]) for (owner,) in self._ground.ask(_OWNERS) if "/" in owner]
        found = [
            member for member in self._crew.of("owner") if member.pid in pids and self._is_at_work(member)
        ]
        return chance.choice(found) if found else None

    def _is_at_work(self, member: Member) -> bool:
        return member.code is None and not member.stopped

    def _one_of(self, chance: random.Random, *parts: str) -> Member | None:
        found = [one for part in parts for one in self._crew.of(part) if self._is_at_work(one)]
        return chance.choice(found) if found else None

    def _kill(self, chance: random.Random, member: Member | None) -> bool:
        if member is None:
            return False
        member.end()
        self._later(chance.random() * self._lease / 2, member.start)
        return True

    def _kill_the_owner(self, chance: random.Random) -> bool:
        return self._kill(chance, self._owner(chance))

    def _kill_a_stand_by(self, chance: random.Random) -> bool:
        owners = self._ground.ask(_OWNERS)
        pids = [int(owner.split("/")[1]) for (owner,) in owners if "/" in owner]
        idle = [member for member in self._crew.of("owner") if member.pid not in pids]
        return self._kill(chance, next((member for member in idle if self._is_at_work(member)), None))

    def _stop_the_owner(self, chance: random.Random) -> bool:
        return self._pause(self._owner(chance), self._lease + 0.5 + chance.random())

    def _pause_anybody(self, chance: random.Random) -> bool:
        return self._pause(
            self._one_of(chance, "owner", "writer", "reader"), chance.random() * self._lease / 2
        )

    def _pause(self, member: Member | None, seconds: float) -> bool:
        if member is None:
            return False
        member.signal(signal.SIGSTOP)
        self._later(seconds, lambda: member.signal(signal.SIGCONT))
        return True

    def _cut(self, chance: random.Random) -> bool:
        others = [pid for (pid,) in self._ground.ask(_OTHERS)]
        for pid in chance.sample(others, min(len(others), chance.choice((1, 1, 2, 4)))):
            self._ground.ask("SELECT pg_terminate_backend(%s)", pid)
        return bool(others)

    def _tear(self, _: random.Random) -> bool:
        self._ground.ask(_TEAR)
        return True

    def _hold_back(self, chance: random.Random) -> bool:
        connection = psycopg.connect(self._ground.conninfo, options="-c lock_timeout=1s")
        connection.execute("SELECT pg_advisory_xact_lock(7310580243119865)")

        def let_go() -> None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

        self._later(chance.random() * 0.4, let_go)
        return True

    def _kill_a_writer(self, chance: random.Random) -> bool:
        return self._kill(chance, self._one_of(chance, "writer"))

    def _kill_a_reader(self, chance: random.Random) -> bool:
        return self._kill(chance, self._one_of(chance, "reader"))

    def _command(self, chance: random.Random) -> bool:
        if not self._models:
            return False
        words = chance.choices(list(COMMANDS), list(COMMANDS.values()))[0]
        model = chance.choice(self._models)
        verb, *options = words.split()
        if words == "rebuild --user":
            options.append(str(chance.choice(self._users)))
        self._run(words, [verb, model, *options], chance.random() < KILLED, chance.random())
        if verb == "pause":
            self._later(self._lease / 2, lambda: self._run("resume", ["resume", model]))
        return True

    def _run(self, words: str, arguments: list[str], killed: bool = False, after: float = 0.0) -> None:
        member = self._crew.join(
            "command", operate, self._ground.environ, self._page, ["projections", *arguments]
        )
        if killed:
            self._later(after, member.end)
        self.commands.append((words, member, killed))

    def _kill_the_server(self, _: random.Random) -> bool:
        self._ground.kill_the_server()
        return True

    def _crash_a_backend(self, chance: random.Random) -> bool:
        others = [pid for (pid,) in self._ground.ask(_OTHERS)]
        if others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(others), signal.SIGKILL)
        return bool(others)

    _does = {  # noqa: RUF012
        "kill the owner": _kill_the_owner,
        "kill a stand-by": _kill_a_stand_by,
        "stop the owner beyond its lease": _stop_the_owner,
        "pause anybody": _pause_anybody,
        "cut connections": _cut,
        "tear all leases": _tear,
        "hold back appends": _hold_back,
        "kill a writer": _kill_a_writer,
        "kill a reader": _kill_a_reader,
        "command": _command,
        "kill the server": _kill_the_server,
        "crash a backend": _crash_a_backend,
    }
