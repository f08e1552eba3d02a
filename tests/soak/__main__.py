"""`python -m tests.soak`: soaks the read models in faults, and tells what was done and what was found."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.soak.campaign import soaked
from tests.soak.measures import OURS, Measures, Report
from tests.soak.naive import READERS


def main() -> int:
    """Exit code 0 where nothing was found, else 1."""
    options = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    options.add_argument("--seconds", type=float, default=600, help="how long the storm lasts (600)")
    options.add_argument("--seed", type=int, default=1, help="what every choice is made of (1)")
    options.add_argument(
        "--reader", choices=[OURS, *READERS], action="append", default=[],
        help="who reads the log (ours); more than one may",
    )  # fmt: skip
    chosen = options.parse_args()
    report = soaked(
        Measures(
            seconds=chosen.seconds, seed=chosen.seed, readers=chosen.reader or (OURS,), every=0.5,
            outages=max(2, round(chosen.seconds / 40)), lease=3.0, page=100, users=2000, pause=0.012,
        ),
        lambda line: print(line, flush=True),
    )  # fmt: skip
    tell(report)
    return 1 if any(report.wrong.values()) else 0


def tell(report: Report) -> None:
    """The report, for people."""
    measures = report.measures
    print(
        f"seed {measures.seed}, {measures.seconds:.0f} s, readers {', '.join(measures.readers)}\n"
        f"events {report.events:,}, of which {report.stored:,} commands were acknowledged; "
        f"refused: {_counted(report.refused)}\n"
        f"faults {report.faults.total()}: {_counted(report.faults)}\n"
        f"commands: {_counted(report.commands)}\n"
        f"pages {report.pages:,}, met with: {_counted(report.met)}\n"
        f"takeovers {report.takeovers}, rebuilds {report.rebuilds}, switches {report.switches}, "
        f"looks {report.looks:,}\n"
        f"longest without an owner {report.silence:.1f} s (lease {measures.lease:.0f} s; {report.silent}), "
        f"all read {report.settling:.1f} s after the storm"
    )
    for complaint, times in Counter(report.complaints).most_common():
        print(f"complained {times} times: {complaint}")
    for reader, wrong in report.wrong.items():
        for fault in wrong:
            print(f"FOUND {reader}: {fault}")
        if not wrong:
            print(f"{reader}: nothing found")


def _counted(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(counts).most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
