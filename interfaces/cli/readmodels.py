"""`usersd projections`: watch where the read models stand, hold them against the log, pause and go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime

import rich_click as click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from application.operations import Operations, UnknownProjection
from application.projections import (
    Parked,
    ProjectionStatus,
    RelayStatus,
    Stepped,
    UnknownGeneration,
    Verification,
    paced,
)
from interfaces.cli.output import FAILURE, USAGE, fail, line, say, show
from interfaces.cli.progress import bar
from interfaces.cli.tools import Tools

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line; `kind` says of what.")

BETWEEN = 0.5
"""Seconds between the two looks that a rate takes, where there is a lag at all."""

_COLUMNS = ("projection", "generation", "state", "position", "head", "lag", "rate", "eta",
            "parked", "differing", "checked", "owner")  # fmt: skip


@click.command()
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@JSON
@click.pass_obj
def status(tools: Tools, watch: bool, as_json: bool) -> None:
    """Show where every generation of every read model stands, and what is wrong with it.

    Ends with 1 where a stream is parked, rows are not what the log says, or a page cannot be applied; and
    where what publishes or mails cannot go on.
    """
    with tools.operations() as work:
        if watch:
            _watch(work, as_json=as_json)
            return
        rows = work.status()
        if any(row.lag_events for row in rows):
            began = time.monotonic()
            time.sleep(BETWEEN)
            rows = _paced(work.status(), rows, time.monotonic() - began)
        held, parked = work.held(), work.parked()
    if as_json:
        _lines(rows, held, parked)
    elif rows or held:
        _console().print(_shown(rows, held, parked))
    else:
        say("no projection has been made yet")
    if held or not all(row.is_well for row in rows):
        raise SystemExit(FAILURE)


def _watch(work: Operations, *, as_json: bool) -> None:
    console = _console()
    redrawn = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False) if redrawn else None
    before, looked = work.status(), time.monotonic()
    try:
        with live or nullcontext():
            while True:
                time.sleep(1.0)
                rows, now = work.status(), time.monotonic()
                rows, before, looked = _paced(rows, before, now - looked), rows, now
                if as_json:
                    _lines(rows, work.held(), work.parked())
                elif live is None:
                    console.print(_shown(rows, work.held(), work.parked()))
                else:
                    live.update(_shown(rows, work.held(), work.parked()), refresh=True)
    except KeyboardInterrupt:
        return


def _paced(
    rows: Sequence[ProjectionStatus], before: Sequence[ProjectionStatus], seconds: float
) -> list[ProjectionStatus]:
    known = {(row.name, row.version, row.generation): row for row in before}
    return [paced(row, known.get((row.name, row.version, row.generation)), seconds) for row in rows]


def _lines(rows: Sequence[ProjectionStatus], held: Sequence[RelayStatus], parked: Sequence[Parked]) -> None:
    for row in (*rows, *held, *parked):
        line(row)


def _shown(rows: Sequence[ProjectionStatus], held: Sequence[RelayStatus], parked: Sequence[Parked]) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        right = name in ("position", "head", "rate", "parked", "differing")
        table.add_column(name, no_wrap=True, justify="right" if right else "left")
    for row in rows:
        table.add_row(*_cells(row))
    below = [Text(text) for row in rows for text in _remarks(row)]
    below += [Text(_standing_still(relay)) for relay in held]
    below += [Text(_waiting(stream)) for stream in parked]
    return Group(table, *below)


def _cells(row: ProjectionStatus) -> list[str]:
    return [
        row.name,
        f"v{row.version} g{row.generation}",
        state_of(row),
        f"{row.position:,}",
        f"{row.head:,}",
        f"{row.lag_events:,} / {row.lag_seconds:,.1f} s" if row.lag_events else "0",
        "-" if row.rate is None else f"{row.rate:,.0f}/s",
        "-" if row.eta_seconds is None else f"{row.eta_seconds:,.0f} s",
        str(row.parked),
        str(row.differing),
        _time(row.checked_at) if row.checked_at else "-",
        row.owner or "-",
    ]


def state_of(row: ProjectionStatus) -> str:
    """The state in words, with what stands in its way."""
    if row.paused_at is not None:
        return f"{row.state}, paused"
    return row.state if row.owner or row.state == "building" else f"{row.state}, no owner"


def _remarks(row: ProjectionStatus) -> list[str]:
    named = f"{row.name} v{row.version} g{row.generation}"
    remarks = []
    if row.paused_at is not None:
        remarks.append(
            f"{named}: paused since {_time(row.paused_at)}: {row.pause_reason or 'no reason given'}"
        )
    if row.last_error is not None:
        event = f" ({row.last_error_event})" if row.last_error_event else ""
        remarks.append(
            f"{named}: {row.last_error} from position {row.last_error_position}{event} on; it is tried again"
        )
    if row.differing:
        remarks.append(f"{named}: {_wrong(row)} not what the log says: {_cure(row)}")
    return remarks


def _wrong(row: ProjectionStatus) -> str:
    users = row.differing - row.totals_differ
    rows = f"rows of {users:,} {'user' if users == 1 else 'users'}"
    if not row.totals_differ:
        return f"{rows} are"
    return f"{rows} and the totals are" if users else "the totals are"


def _cure(row: ProjectionStatus) -> str:
    verifying = f"usersd projections verify {row.name}"
    if row.state == "live":
        return f"{verifying} shows what differs"
    cure = f"drop-old {row.name}" if row.was_live else f"rebuild {row.name} --anew"
    return (
        f"{verifying} --generation {row.generation} shows what differs; nothing is answered from it, and "
        f"usersd projections {cure} does away with it"
    )


def _standing_still(relay: RelayStatus) -> str:
    return (
        f"{'relay' if relay.task == 'publishing' else 'reactor'} {relay.name}: {relay.last_error}; "
        f"{relay.lag_events:,} events from position {relay.position + 1} on wait, and it is tried again"
    )


def _waiting(stream: Parked) -> str:
    return (
        f"{stream.projection} v{stream.version} g{stream.generation}: parked user {stream.user_id} "
        f"at position {stream.position} ({stream.event_name}: {stream.reason}), "
        f"{stream.waiting} events wait behind, {stream.attempts} attempts"
    )


@click.command()
@click.argument("name")
@click.option(
    "--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="A share of all users."
)
@click.option("--generation", type=int, help="Another generation than the live one.")
@click.option("--against", type=int, help="Compare with this generation, not with the log.")
@JSON
@click.pass_obj
def verify(
    tools: Tools, name: str, sample: float, generation: int | None, against: int | None, as_json: bool
) -> None:
    """Fold users afresh from the log, and compare them with the rows of a read model.

    Exact while writes go on. Shows who differs, in which columns, and never a value; ends with 1 where
    anybody does. Users whose stream is parked are compared up to what stopped it.
    """
    if against is not None and generation is None:
        fail("--against takes --generation too: the two to compare.", USAGE)
    with tools.operations() as work, bar("verifying", "users") as moved:

        def step(stepped: Stepped) -> None:
            moved(stepped.done, stepped.total)

        try:
            if against is not None and generation is not None:
                found = work.compare(name, generation, against)
            else:
                found = work.verify(name, step, generation=generation, share=sample)
        except UnknownProjection as error:
            fail(error, USAGE)
        except UnknownGeneration as error:
            fail(error)
    _report(found, as_json=as_json)
    if not found.holds:
        raise SystemExit(FAILURE)


def _report(found: Verification, *, as_json: bool) -> None:
    if as_json:
        for difference in found.differences:
            line(difference)
        line({"kind": "verified"} | {
            field: getattr(found, field) for field in found.__struct_fields__ if field != "differences"
        })  # fmt: skip
        return
    if found.differences:
        show(found.differences, as_json=False, empty="")
    for place in found.disagreements:
        say(f"{found.name}: the totals of {place} are not those of the rows")
    pace = f", {found.users / found.seconds:,.0f} users/s" if found.users and found.seconds else ""
    against = "the log" if found.against == "log" else f"generation {found.against}"
    say(
        f"{found.name}: generation {found.generation} at position {found.position} against {against}: "
        f"{found.users or found.rows:,} {'users' if found.users else 'rows'}, {found.differing} differ, "
        f"{found.parked} parked, {found.skipped} skipped; digest {found.digest} "
        f"({found.seconds:,.1f} s{pace})"
    )


@click.command()
@click.argument("name")
@click.option("--reason", default="", help="Shown by status; say nothing personal here.")
@click.pass_obj
def pause(tools: Tools, name: str, reason: str) -> None:
    """Have nothing written to a read model any more; it answers as it is, and no stand-by takes over."""
    with tools.operations() as work:
        try:
            paused = work.pause(name, reason)
        except UnknownProjection as error:
            fail(error, USAGE)
    say(f"{name}: paused {_numbers(paused)}")


@click.command()
@click.argument("name")
@click.pass_obj
def resume(tools: Tools, name: str) -> None:
    """Go on where it was paused."""
    with tools.operations() as work:
        try:
            resumed = work.resume(name)
        except UnknownProjection as error:
            fail(error, USAGE)
    say(f"{name}: resumed {_numbers(resumed)}")


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(f"generation {number}" for number in numbers) or "nothing"


def _time(value: datetime) -> str:
    return value.isoformat(sep=" ", timespec="seconds")


def _console() -> Console:
    console = Console(highlight=False)
    # In a pipe a line stays a line, however long it is.
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 240))
