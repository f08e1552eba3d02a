"""`python -m bench [NAME …] [--users N]`: measures every row, or the named ones, and prints the table."""

from __future__ import annotations

import argparse
import importlib
import os
import platform

import uvloop

from bench.ground import ground
from bench.measuring import COSTS, Row, say
from infrastructure.process import tune

MODULES = (
    "append",
    "checkpoints",
    "rebuild",
    "under_rebuild",
    "login",
    "refresh",
    "profile",
    "checking",
    "identify",
    "relay",
    "from_zero",
    "delivered",
    "visible",
    "lag",
    "feed",
    "lists",
)


def main() -> None:
    wanted = argparse.ArgumentParser(prog="bench", description=__doc__)
    wanted.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODULES))
    wanted.add_argument("--users", type=int, help="how many there are, for what is measured among many")
    given = wanted.parse_args()
    chosen = given.names or MODULES
    if given.users:
        os.environ["BENCH_USERS"] = str(given.users)
    # Imported here because the number of users is said by now.
    from bench.crowd_log import kept

    rows: list[Row] = []
    tune()
    with ground() as servers, kept():
        for name in chosen:
            say(f"measuring: {name}")
            rows += uvloop.run(importlib.import_module(f"bench.{name}").measure(servers))
    print(table(rows))


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| work | against | ours | limit | share | at least | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        aim = "" if row.aim is None else f"{row.aim:g}" + (" at most" if row.unit in COSTS else "")
        mark = "" if row.meets else " **missed**"
        lines.append(
            f"| {row.work} | {row.against} | {_number(row.ours, row.unit)} | {_number(row.limit, row.unit)} "
            f"| {row.share:.2f}{mark} | {aim} | {row.rounds} |"
        )
    return "\n".join([*lines, "", hardware()])


def hardware() -> str:
    """What it was measured on."""
    cores = os.cpu_count()
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores."


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:,.2f}{unit}"


main()
