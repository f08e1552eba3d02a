"""`usersd stats`: totals by status and role, and a plot of the signups per day."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import psycopg
import pytest

from application.seeding import SeedWanted
from domain import events
from infrastructure.operations.seed import sow
from interfaces.cli.stats import WIDTH, bar
from projections.signups.projector import Signups
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, projecting
from tests.support.writer import AT, Writer


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, ""), (1.0, "█" * WIDTH), (0.5, "█" * (WIDTH // 2)), (1 / WIDTH / 4, "▎")]
)
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


async def test_the_users_are_counted_and_their_days_plotted(database: str) -> None:
    async with Writer(database) as writer, projecting(writer, Signups()):
        await sow(writer.log, database, SeedWanted(users=150))
        for late in range(3):
            await writer.append(
                (await writer.register())[0],
                events.ProfileUpdated(at=AT + timedelta(days=late), first_name="x"),
            )
        await caught_up(database, name="signups")
    rows = usersd(database, "stats", "--json").rows
    assert sum(row["users"] for row in rows) == 153
    assert {row["day"] for row in rows if row["day"] > "2026"} == {AT.date().isoformat()}
    standing: Counter[str] = Counter()
    for row in rows:
        standing[row["status"]] += row["users"]

    shown = usersd(database, "stats", "--days", "60")
    assert shown.code == 0, shown
    lines = [line.split() for line in shown.out.splitlines()]
    assert [AT.date().isoformat(), "3"] in [line[:2] for line in lines]
    assert sum(line[0].startswith("202") for line in lines if line) == 60
    assert any("█" in line for line in shown.out.splitlines())
    assert ["all", str(sum(standing.values()))] == [lines[-1][0], lines[-1][-1]]
    assert ["enabled", str(standing["enabled"])] in [[line[0], line[-1]] for line in lines if line]


def test_without_users_it_says_so(database: str) -> None:
    shown = usersd(database, "stats")
    assert (shown.code, shown.out, shown.err.strip()) == (0, "", "there are no users")


async def test_before_the_first_build_it_says_when_to_try_again(database: str) -> None:
    async with Writer(database) as writer:
        await writer.register()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM projections WHERE name = 'signups'")
        connection.execute("DROP TABLE IF EXISTS signups_v1_g1, signups_v1_g1_totals CASCADE")
    shown = usersd(database, "stats", "--json")
    assert (shown.code, shown.out, len(shown.err.splitlines())) == (75, "", 1), shown
    assert "not counted yet" in shown.err
