"""`python -m tests.fuzz`: fuzzes a service of its own and tells what was sent and what was found."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from tests.fuzz.campaign import AT_ONCE, Report
from tests.fuzz.verdict import fuzzed


def main() -> int:
    """Exit code 0 where nothing was found, else 1."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--seconds", type=float, default=60, help="for how long to send (60)")
    options.add_argument("--seed", type=int, default=1, help="what every choice is made of (1)")
    options.add_argument("--requests", type=int, default=0, help="exactly so many, for a replay")
    options.add_argument("--at-once", type=int, default=AT_ONCE, help=f"requests on their way ({AT_ONCE})")
    chosen = options.parse_args()
    report, wrong = asyncio.run(fuzzed(chosen.seconds, chosen.seed, chosen.requests, chosen.at_once))
    tell(report, wrong)
    return 1 if wrong else 0


def tell(report: Report, wrong: list[str]) -> None:
    """The report, for people."""
    total: Counter[str] = Counter()
    for route, statuses in sorted(report.by_route.items()):
        total += statuses
        row = "  ".join(f"{status}:{count}" for status, count in sorted(statuses.items()))
        print(f"{route:18} {statuses.total():7}  {row}")
    print(f"{'all':18} {total.total():7}  " + "  ".join(f"{s}:{count}" for s, count in sorted(total.items())))
    print("changed:", ", ".join(f"{name} {count}" for name, count in report.changes.most_common()))
    print(
        f"seed {report.seed}: {report.requests} requests in {report.seconds:.0f} s, the slowest took "
        f"{report.slowest:.2f} s, {report.overloaded} answered 503; memory in MiB: {report.memory}"
    )
    for fault in wrong:
        print(f"\nFOUND {fault}")
    print(f"\n{len(wrong)} found" if wrong else "nothing found")


if __name__ == "__main__":
    sys.exit(main())
