"""One soak: everybody is set to work, the faults come as planned, and when all is calm the judge looks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from projections.catalogue import READ_MODELS
from tests.soak import naive
from tests.soak.audit import Audit
from tests.soak.faults import Hand, plan
from tests.soak.ground import Ground, ground
from tests.soak.judge import judge_naive, judge_ours, noted
from tests.soak.measures import OURS, Measures, Report
from tests.soak.owning import Conditions, own
from tests.soak.processes import Crew, crew
from tests.soak.witness import Witness
from tests.soak.writing import Acknowledged, write, write_naively
from tests.support.waiting import at_last

_SUMMARY = """
SELECT count(*) FILTER (WHERE owner <> 'nobody' AND owner IS DISTINCT FROM was_owner),
       count(*) FILTER (WHERE was_state = 'building' AND state <> 'building'),
       count(*) FILTER (WHERE was_state = 'following' AND state = 'live'),
       count(*) FILTER (WHERE position > came_from)
FROM soak_moves"""

_SILENCES = """
SELECT name, generation, before, at FROM (
    SELECT *, lag(at) OVER one AS before FROM soak_moves
    WINDOW one AS (PARTITION BY name, version, generation ORDER BY number)) AS moves
WHERE fencing <> was_fencing AND owner IS NOT NULL AND owner <> 'nobody' AND before IS NOT NULL"""

PATIENCE = 5.0
"""Seconds that commands have to come to an end by themselves when the storm is over."""

_BEHIND = """
SELECT name, generation, position FROM projections
WHERE state <> 'building' AND position < (SELECT coalesce(max(position), 0) FROM events)"""

_NAIVE_STANDING = """
SELECT reader, count(*) FROM naive_rows GROUP BY reader
UNION ALL SELECT reader, position FROM naive_positions ORDER BY 1, 2"""


def soaked(measures: Measures, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Run a soak to its end and judge it."""
    with ground() as place, crew(place.folder) as everybody:
        report = Report(measures)
        hand = Hand(place, everybody, _models(measures), measures)
        witness = Witness(place)
        _assemble(place, everybody, measures)
        try:
            _storm(hand, witness, measures, tell)
        finally:
            witness.leave()
        began = time.monotonic()
        _calm(place, everybody, hand)
        report.wrong = {reader: [] for reader in measures.readers}
        late = _settle(place, measures)
        report.settling = time.monotonic() - began
        report.complaints = _ended(everybody)
        everybody.end()
        if OURS in measures.readers:
            report.wrong[OURS] += late + witness.wrong[:5] + asyncio.run(judge_ours(place))
        with psycopg.connect(place.conninfo, autocommit=True) as connection:
            for reader in measures.readers:
                if reader != OURS:
                    report.wrong[reader] += judge_naive(connection, reader)
        _sum_up(report, place, hand, witness)
    return report


def _models(measures: Measures) -> list[str]:
    return [*(model.name for model in READ_MODELS), Audit.name] if OURS in measures.readers else []


def _assemble(place: Ground, everybody: Crew, measures: Measures) -> None:
    numbers = iter(range(1, 100_000))

    def writer() -> tuple[Callable[..., None], tuple[Any, ...]]:
        number = next(numbers)
        return write, (
            place.conninfo, place.folder, measures.seed, number, measures.users, measures.pause
        )  # fmt: skip

    def owner() -> tuple[Callable[..., None], tuple[Any, ...]]:
        number = next(numbers)
        return own, (
            place.conninfo,
            Conditions(
                lease=measures.lease, page=measures.page, seed=measures.seed + number,
                notes=place.folder / f"notes.{number}",
            ),
        )  # fmt: skip

    for _ in range(measures.writers):
        everybody.join_anew("writer", writer)
    if OURS in measures.readers:
        for _ in range(measures.owners):
            everybody.join_anew("owner", owner)
    for reader in measures.readers:
        if reader != OURS:
            place.ask("INSERT INTO naive_positions (reader) VALUES (%s)", reader)
            for _ in range(2 if reader in naive.IN_TWO_PROCESSES else 1):
                everybody.join("reader", naive.read, place.conninfo, reader)
    if set(measures.readers) & set(naive.OF_THE_NAIVE_LOG):
        everybody.join("naive log", write_naively, place.conninfo)


def _storm(hand: Hand, witness: Witness, measures: Measures, tell: Callable[[str], None]) -> None:
    began, told = time.monotonic(), 0.0
    longest = measures.seconds * (8 if measures.enough else 1)
    faults = plan(measures.seed, longest, measures.every, measures.seconds, measures.outages)
    while (passed := time.monotonic() - began) < longest:
        hand.follow_up()
        if faults and faults[0].after <= passed:
            fault = faults.pop(0)
            # A database that is away suffers no fault; the next one will.
            with contextlib.suppress(psycopg.Error):
                hand.do(fault)
        witness.look()
        if passed > measures.seconds and witness.head >= measures.enough:
            return
        if passed - told > 10:
            told = passed
            tell(
                f"{passed:.0f} s: {witness.head} events, {hand.done.total()} faults, "
                f"{len(hand.commands)} commands"
            )
        time.sleep(0.05)


def _calm(place: Ground, everybody: Crew, hand: Hand) -> None:
    """No more faults and no more writes; whoever was killed or stopped comes back."""
    place.at_last("UPDATE soak_weather SET stormy = false RETURNING 1")
    everybody.end("writer", "naive log")
    hand.follow_up(at_once=True)
    everybody.end("writer")

    def commands_are_done() -> bool:
        return all(member.code is not None for member in everybody.of("command"))

    with contextlib.suppress(AssertionError):
        at_last(commands_are_done, PATIENCE)
    everybody.end("command")
    # Whoever was to resume it may have met with a fault.
    place.at_last(
        "WITH resumed AS (UPDATE projections SET paused_at = NULL RETURNING 1) SELECT count(*) FROM resumed"
    )


def _settle(place: Ground, measures: Measures) -> list[str]:
    """Until nobody has anything left to read; what is late for ever."""
    deadline = time.monotonic() + 60
    before: Sequence[tuple[Any, ...]] = ()
    while True:
        behind = place.at_last(_BEHIND) if OURS in measures.readers else ()
        now = place.at_last(_NAIVE_STANDING)
        if not behind and now == before:
            return []
        if time.monotonic() > deadline:
            return [f"{name} {generation}: still at {at} after 60 s" for name, generation, at in behind]
        before = now
        time.sleep(0.5)


def _sum_up(report: Report, place: Ground, hand: Hand, witness: Witness) -> None:
    acknowledged = Acknowledged(place.folder)
    report.stored, report.refused = len(acknowledged.stored), acknowledged.refused
    report.faults, report.met, report.looks = hand.done, noted(place), witness.looks
    ((report.events,),) = place.ask("SELECT count(*) FROM events")
    ((report.takeovers, report.rebuilds, report.switches, report.pages),) = place.ask(_SUMMARY)
    for name, generation, before, at in place.ask(_SILENCES):
        since, until = before.timestamp(), at.timestamp()
        if (length := witness.length_of(since, until)) > report.silence:
            meanwhile = [kind for when, kind in hand.diary if since - 2 < when < until]
            report.silence = length
            report.silent = f"{name} {generation}, amid: {', '.join(meanwhile) or 'nothing'}"
    for name, member, killed in hand.commands:
        how = "killed" if member.code == -9 else f"exit {member.code}"
        report.commands[f"{name}: {how}"] += 1
        if not killed and member.code:
            report.complaints.append(f"{name}: exit {member.code}: {member.said()}")
    report.complaints += _exceptions(place)


def _ended(everybody: Crew) -> list[str]:
    """Whoever came to an end that nobody has brought about, with the last words."""
    return [
        f"a {member.part} ended with {member.code}: {member.said()}"
        for member in everybody.members
        if member.part != "command" and member.code is not None and member.code >= 0
    ]


def _exceptions(place: Ground) -> list[str]:
    """What an owner said that failed for a reason other than the weather."""
    said = Counter(
        line.split(":")[0]
        for path in place.folder.glob("owner.*.log")
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith(("psycopg.", "Exception", "RuntimeError", "AssertionError"))
    )
    return [f"an owner: {name}, {times} times" for name, times in said.items()]
