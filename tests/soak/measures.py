"""How hard a soak is, and what is told of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

OURS = "ours"


@dataclass(frozen=True)
class Measures:
    """How hard a soak is; times in seconds."""

    seconds: float
    seed: int
    readers: Sequence[str] = (OURS,)
    enough: int = 0
    """Events without which the storm goes on, on a slow machine up to eight times as long."""
    every: float = 0.25
    outages: int = 2
    lease: float = 1.0
    page: int = 40
    owners: int = 3
    writers: int = 3
    users: int = 300
    pause: float = 0.008
    """Between two commands of one writer, on average."""


@dataclass
class Report:
    """What was done, what came of it, and whatever is wrong, by reader."""

    measures: Measures
    wrong: dict[str, list[str]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)
    commands: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    """The last line of each command that failed by itself."""
    stored: int = 0
    events: int = 0
    takeovers: int = 0
    rebuilds: int = 0
    switches: int = 0
    pages: int = 0
    looks: int = 0
    silence: float = 0.0
    """The longest time between the last sign of one owner and the first of the next, outages left out."""
    silent: str = ""
    """What was silent then, and the faults of that time."""
    settling: float = 0.0
    """The time from the end of the storm until every reader was at the end of the log."""
