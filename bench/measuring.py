"""How a row is measured: ours and its limit in turns, several rounds, medians, a share."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Awaitable, Callable

import msgspec

Measure = Callable[[], Awaitable[float]]


COSTS = ("ms", "µs", " s", " MB", " %")
"""Units of which less is better."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; `aim` is the least share of a rate, the largest of a cost, or None."""

    work: str
    against: str
    ours: float
    limit: float
    share: float
    aim: float | None
    unit: str = "/s"
    rounds: int = 1
    missing: str = ""
    """Why there is nothing to be measured here, if so."""

    @property
    def meets(self) -> bool:
        return self.aim is None or (self.share <= self.aim if self.unit in COSTS else self.share >= self.aim)


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


async def in_turns(
    work: str, against: str, ours: Measure, limit: Measure, *, aim: float, rounds: int = 3
) -> Row:
    """Measure both, one after the other, `rounds` times; the share is the median of the rounds' shares."""
    pairs: list[tuple[float, float]] = []
    for number in range(1, rounds + 1):
        theirs = await limit()
        mine = await ours()
        pairs.append((mine, theirs))
        say(f"  {work}, round {number}: {mine:,.0f} against {theirs:,.0f}, {mine / theirs:.2f}")
    return Row(
        work=work,
        against=against,
        ours=statistics.median(mine for mine, _ in pairs),
        limit=statistics.median(theirs for _, theirs in pairs),
        share=statistics.median(mine / theirs for mine, theirs in pairs),
        aim=aim,
        rounds=rounds,
    )
