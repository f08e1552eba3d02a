"""How hard a storm is, and what is told of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DEPLOYMENT: Mapping[str, int] = {"api": 2, "projector": 2, "relay": 2, "mailer": 1, "sweeper": 1}
SMALL: Mapping[str, int] = {"api": 2, "projector": 1, "relay": 1, "mailer": 1, "sweeper": 1}


@dataclass(frozen=True)
class Measures:
    """How hard a storm is; times in seconds."""

    seconds: float
    seed: int
    roles: Mapping[str, int] = field(default_factory=lambda: DEPLOYMENT)
    clients: int = 6
    enough: int = 0
    """Writes without which the clients go on in fair weather, on a slow machine up to eight times as long."""
    every: float = 2.0
    """Between two faults, on average."""
    patience: float = 180.0
    """Once nothing is broken, every API answers and every reader has read the whole log within this time."""
    longest: float = 8.0
    """No process stays away, and no network broken, for longer."""
    pause: float = 0.02
    """Between two requests of one client, on average."""
    erases: bool = True
    """Whether accounts are erased some seconds after they were deleted, which takes its time to settle."""
    broken: Sequence[str] = ()
    """What is wrong with the roles on purpose; see tests/chaos/broken.py."""
    disk: int = 640
    """MiB that the data folder of PostgreSQL and NATS may hold."""


@dataclass
class Report:
    """What was tried, what came of it, and whatever is wrong."""

    measures: Measures
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    """Faults that this machine does not allow, and why."""
    requests: dict[str, Counter[str]] = field(default_factory=dict)
    """By kind, how often each outcome was met."""
    repeated: int = 0
    """Requests that were sent again because nobody knew what had become of them."""
    complaints: list[str] = field(default_factory=list)
    """The last words of each role that ended by itself."""
    events: int = 0
    acknowledged: int = 0
    revoked: int = 0
    """Tokens that were tried after they had been revoked."""
    mails: int = 0
    messages: int = 0
    duplicates: int = 0
    checkpoints: int = 0
    erased: int = 0
    starts: Counter[str] = field(default_factory=Counter)
    dark: float = 0.0
    """The longest time in which no API answered a signed-in request."""
    amid: str = ""
    """The faults of that time."""
    settling: float = 0.0
    """From the end of the storm until every reader was at the end of the log."""
