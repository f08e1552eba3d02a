"""`python -m bench [NAME …]` measures every row, or the named ones, and prints the tables.

What is measured is kept in bench-results.json. `--write FILE` puts the tables of all that is kept between
the marks of a document; without names it measures nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

import uvloop

from bench import results, table
from bench.ground import ground
from bench.measuring import say
from infrastructure.process import tune

MODULES = (
    "append",
    "checkpoints",
    "rebuild",
    "under_rebuild",
    "login",
    "register",
    "refresh",
    "profile",
    "update",
    "checking",
    "identify",
    "relay",
    "from_zero",
    "delivered",
    "visible",
    "lag",
    "feed",
    "imports",
    "start",
    "idle",
    "export",
    "peers.login",
    "peers.sessions",
    "peers.lists",
    "lists",
)


def main() -> None:
    wanted = argparse.ArgumentParser(prog="bench", description=__doc__)
    wanted.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODULES))
    wanted.add_argument("--users", type=int, help="how many there are, for what is measured among many")
    wanted.add_argument("--write", type=Path, metavar="FILE", help="put the tables into this document")
    given = wanted.parse_args()
    if unknown := set(given.names) - set(MODULES):
        wanted.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if given.users:
        os.environ["BENCH_USERS"] = str(given.users)
    if given.names or not given.write:
        measured = _measure(given.names or MODULES)
        print(table.document({name: results.kept()[name] for name in measured}, measured))
    if given.write:
        table.put_into(given.write, table.document(results.kept(), MODULES))
        say(f"the tables of all that is kept stand in {given.write}")


def _measure(names: list[str] | tuple[str, ...]) -> list[str]:
    """Measure, one module after the other; what fails does not cost what comes after it."""
    # Imported here because the number of users is said by now.
    from bench.crowd_log import kept

    measured, failed = [], {}
    tune()
    with ground() as servers, kept():
        for name in names:
            say(f"measuring: {name}")
            load = os.getloadavg()[0]
            try:
                rows = uvloop.run(importlib.import_module(f"bench.{name}").measure(servers))
            except (AssertionError, OSError) as error:
                failed[name] = f"{type(error).__name__}: {error}"
                say(f"  failed: {failed[name]}")
                continue
            results.keep(name, rows, load)
            measured.append(name)
    for name, reason in failed.items():
        print(f"{name} could not be measured: {reason[:500]}")
    return measured


if __name__ == "__main__":
    main()
