"""`python -m tests.chaos`: a storm over a whole deployment; tells what was done and what was found."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.chaos.broken import BREAKAGES
from tests.chaos.campaign import stormed
from tests.chaos.measures import Measures, Report


def main() -> int:
    """Exit code 0 where nothing was found, else 1."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--seconds", type=float, default=600, help="how long the storm lasts (600)")
    options.add_argument("--seed", type=int, default=1, help="what every choice is made of (1)")
    options.add_argument(
        "--every", type=float, default=2.0, help="seconds between two faults, on average (2)"
    )
    options.add_argument("--clients", type=int, default=6, help="how many clients there are (6)")
    options.add_argument(
        "--broken", choices=list(BREAKAGES), action="append", default=[],
        help="what is wrong with the roles on purpose; more than one may",
    )  # fmt: skip
    chosen = options.parse_args()
    measures = Measures(
        seconds=chosen.seconds, seed=chosen.seed, every=chosen.every, clients=chosen.clients,
        broken=chosen.broken,
    )  # fmt: skip
    with stormed(measures, lambda line: print(line, flush=True)) as aftermath:
        tell(aftermath.report)
    return 1 if aftermath.report.wrong else 0


def tell(report: Report) -> None:
    """The report, for people."""
    measures = report.measures
    roles = ", ".join(f"{role} ×{count}" for role, count in measures.roles.items())
    print(f"seed {measures.seed}, {measures.seconds:.0f} s, {measures.clients} clients, {roles}")
    print(f"faults {report.faults.total()}:")
    for kind, times in sorted(report.faults.items()):
        print(f"  {times:4} {kind}")
    for words in report.left_out:
        print(f"  not tried: {words}")
    print(f"starts: {_counted(report.starts)}")
    print(f"requests {sum(of.total() for of in report.requests.values()):,}:")
    for kind, outcomes in sorted(report.requests.items()):
        print(f"  {kind}: {_counted(outcomes)}")
    outcomes = sum(report.requests.values(), Counter[str]())
    errors = {code: times for code, times in outcomes.items() if code.startswith("5")}
    print(
        f"5xx: {_counted(Counter(errors))}; sent again: {report.repeated:,}\n"
        f"events {report.events:,}, of which {report.acknowledged:,} writes were acknowledged\n"
        f"revoked tokens tried: {report.revoked:,}; mails {report.mails:,}; messages {report.messages:,}, "
        f"{report.duplicates} of them twice; checkpoints {report.checkpoints:,}; "
        f"erased {report.erased:,}\n"
        f"longest time without any answer {report.dark:.1f} s, amid: {report.amid}\n"
        f"settled {report.settling:.1f} s after the storm"
    )
    for words, times in Counter(report.complaints).most_common(10):
        print(f"{times} times: {words}")
    for words in report.wrong[:40]:
        print(f"FOUND {words}")
    print("nothing found" if not report.wrong else f"{len(report.wrong)} found; seed {measures.seed}")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
