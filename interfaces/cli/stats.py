"""`usersd stats`: how many users there are, and how they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
import rich_click as click

from application.statistics import NotCountedYet, SignupCount
from interfaces.cli.output import TRY_AGAIN, fail, line, say, show
from interfaces.cli.tools import Tools

WIDTH = 50
"""Characters of the longest bar."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


class _Day(msgspec.Struct, frozen=True):
    day: str
    users: int
    signups: str


class _Group(msgspec.Struct, frozen=True):
    status: str
    user: int
    admin: int
    total: int


@click.command()
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, 3660), help="How many days to plot."
)
@click.option("--json", "as_json", is_flag=True, help="Every day, status and role: one JSON object a line.")
@click.pass_obj
def stats(tools: Tools, days: int, as_json: bool) -> None:
    """Count the users by status and role, and plot the signups of each day up to the last one.

    Days are those of UTC. Whoever was erased is not counted.
    """
    with tools.statistics() as work:
        try:
            counts = work.signups()
        except NotCountedYet as error:
            fail(error, TRY_AGAIN)
    if as_json:
        for count in counts:
            line(count)
        return
    if not counts:
        say("there are no users")
        return
    show(_daily(counts, days), as_json=False, empty="")
    click.echo()
    show(_by_standing(counts), as_json=False, empty="")


def _daily(counts: Sequence[SignupCount], days: int) -> list[_Day]:
    of_day: Counter[date] = Counter()
    for count in counts:
        of_day[count.day] += count.users
    last = max(of_day)
    shown = [last - timedelta(days=back) for back in reversed(range(days))]
    most = max(of_day[day] for day in shown)
    return [_Day(day.isoformat(), of_day[day], bar(of_day[day] / most)) for day in shown]


def _by_standing(counts: Sequence[SignupCount]) -> list[_Group]:
    users: Counter[tuple[str, str]] = Counter()
    for count in counts:
        for status in (count.status.value, "all"):
            users[status, count.role.value] += count.users
    statuses = ("enabled", "disabled", "deleted", "all")
    return [
        _Group(each, users[each, "user"], users[each, "admin"], users[each, "user"] + users[each, "admin"])
        for each in statuses
    ]


def bar(share: float) -> str:
    """A bar as long as a share of the longest, to an eighth of a character."""
    eighths = round(share * WIDTH * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
