"""`usersd import`: brings accounts in from files and from the services before this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import rich_click as click
from rich.console import Console
from rich.table import Table

from application.import_runs import Brought, Form, ImportWanted, Place
from application.importing import Source, SourceLost
from domain.errors import Unavailable
from domain.events import Dialect
from interfaces.cli.following import with_following
from interfaces.cli.import_files import Left, left_behind, reasons_of
from interfaces.cli.output import FAILURE, TRY_AGAIN, err, fail, line, say
from interfaces.cli.tools import Tools

REPORT_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""

SHOW_EVERY = 200
"""Rows between two looks at how far it is."""

GO_ON = "What was brought in stays. Run the same command again, and it goes on."


@click.command("import")
@click.option(
    "--from",
    "place",
    required=True,
    metavar="FILE|-|DSN",
    help="A file, - for standard input, or the PostgreSQL of a Magistrala or Mainflux Users.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Form)),
    help="What the file is, where its name does not say it.",
)
@click.option("--dialect", type=click.Choice(get_args(Dialect)), help="Whose database it is.")
@click.option(
    "--firebase-parameters",
    "parameters",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The password hash parameters of the Firebase project, as JSON.",
)
@click.option("--dry-run", is_flag=True, help="Decide everything, and append nothing.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="What became of each row, as NDJSON."
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The rows that are refused, to be mended and imported; the reasons stand in a file beside it.",
)
@click.option("--rate", type=click.IntRange(1), help="Store at most so many accounts a second.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
@click.pass_obj
@with_following
def import_(
    tools: Tools,
    place: str,
    form: Form | None,
    dialect: Dialect | None,
    parameters: Path | None,
    *,
    dry_run: bool,
    report: Path | None,
    rejects: Path | None,
    rate: int | None,
    as_json: bool,
) -> None:
    """Bring accounts in, with the ids, names, secrets and times they had elsewhere.

    It can run while the service does. Whatever was brought in before is left as it is, so that a run that
    was cut short is simply repeated. Exit codes: 0 every account is here (or would be), 1 some rows were
    refused, 2 wrong use, 75 cut short: run it again.
    """
    wanted = Place(place=place, form=_form(place, form, dialect), dialect=dialect, parameters=parameters)
    _require_free(wanted, report, rejects)
    with tools.imports() as imports:
        source = imports.source(wanted)
        header: bytes = getattr(source, "header", b"")
        with left_behind(report, rejects, header) as left, _progress(source) as progress:
            try:
                run = ImportWanted(dry_run=dry_run, rate=rate)
                brought = imports.bring(source, run, left.hear, progress)
            except (SourceLost, Unavailable) as error:
                fail(f"{error} {GO_ON}", TRY_AGAIN)
            except OSError as error:
                fail(
                    f"The report or the refused rows cannot be written: {error.strerror}. {GO_ON}", TRY_AGAIN
                )
            _keep(left, brought)
    _tell(brought, rejects, as_json=as_json)


def _form(place: str, form: Form | None, dialect: Dialect | None) -> Form | None:
    """What a file is; None for a database."""
    if place.startswith(("postgres://", "postgresql://")):
        if form or not dialect:
            raise click.UsageError("A database needs --dialect magistrala or mainflux, and no --format.")
        if place.partition("://")[2].partition("/")[0].count("@") > 1:
            # The driver would take a part of the password for the host, and say so.
            raise click.UsageError("In the user and password of an address '@' is written %40.")
        return None
    if dialect:
        raise click.UsageError("--dialect is for a database; in a file each account names its own.")
    if place == "-":
        return form or "ndjson"
    if not Path(place).is_file():
        if any(mark in place for mark in ("://", "@", "password=")):
            raise click.UsageError(
                "What --from names is neither a file nor an address that begins with postgresql://; it is "
                "not repeated here, since it may hold a password."
            )
        raise click.UsageError(f"There is no file {place}.")
    if form:
        return form
    known: dict[str, Form] = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}
    if (suffix := Path(place).suffix.lower()) not in known:
        raise click.UsageError(f"What kind of file is {place}? Say --format {' or '.join(get_args(Form))}.")
    return known[suffix]


def _require_free(wanted: Place, report: Path | None, rejects: Path | None) -> None:
    """Nothing that somebody may still need is written over."""
    written = [path for path in (report, rejects) if path]
    if rejects:
        for path in (rejects, reasons_of(rejects)):
            if path.exists():
                raise click.UsageError(
                    f"{path} is there already, and rows in it may wait to be mended: name another file."
                )
    if wanted.is_file and any(path.exists() and path.samefile(wanted.place) for path in written):
        raise click.UsageError("The file that is read cannot be written at the same time.")
    if len({path.resolve() for path in written}) != len(written):
        raise click.UsageError("--report and --rejects are two files.")
    for path in written:
        if not path.parent.is_dir():
            raise click.UsageError(f"There is no folder {path.parent}.")


def _keep(left: Left, brought: Brought) -> None:
    if brought.stopped:
        return
    try:
        left.keep()
    except OSError as error:
        fail(f"The import is done, and its files cannot be written: {error.strerror}.")


def _tell(brought: Brought, rejects: Path | None, *, as_json: bool) -> None:
    if as_json:
        line(brought)
    else:
        _print(brought)
    if brought.stopped:
        say(f"stopped behind row {brought.last_place:,}. {GO_ON}")
        raise SystemExit(TRY_AGAIN)
    if brought.refused:
        if rejects:
            say(f"refused rows are in {rejects}, why in {reasons_of(rejects)}; mended, import that file")
        raise SystemExit(FAILURE)


def _print(brought: Brought) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    came = "would come" if brought.dry_run else "imported"
    rate = f"  ({brought.rows / brought.seconds:,.0f} rows/s)" if brought.seconds else ""
    counts = ((came, brought.imported), ("there already", brought.already), ("refused", brought.refused))
    for what, many in (("rows", brought.rows), *counts):
        console.print(f"{what:<14}{many:>12,}{rate if what == 'rows' else ''}", markup=False)
    if brought.reasons:
        console.print()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("rows", "code", "field", "why", "first rows"):
            table.add_column(title, justify="right" if title == "rows" else "left")
        for reason in sorted(brought.reasons.values(), key=lambda reason: -reason.rows):
            places = ", ".join(map(str, reason.places)) + (" …" if reason.rows > len(reason.places) else "")
            table.add_row(f"{reason.rows:,}", reason.code, reason.pointer, reason.text, places)
        console.print(table)
    for name, rows in brought.unkept.items():
        console.print(f"{rows:,} rows have {name}, which no account keeps", markup=False)


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    total = source.size
    if not err.is_terminal:
        yield _lines(total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("accounts"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bar:
        task, began = bar.add_task("accounts", total=total, rate=""), time.monotonic()

        def show(rows: int) -> None:
            if rows % SHOW_EVERY == 0 or rows == total:
                rate = f"{rows / (time.monotonic() - began):,.0f} rows/s"
                bar.update(task, completed=rows, rate=rate)

        yield show


def _lines(total: int | None) -> Callable[[int], None]:
    began = told = time.monotonic()

    def show(rows: int) -> None:
        nonlocal told
        if rows % SHOW_EVERY or (now := time.monotonic()) - told < REPORT_EVERY:
            return
        told, speed = now, rows / (now - began)
        left = f" of {total:,}, {max(total - rows, 0) / speed:,.0f} s left" if total else ""
        say(f"{rows:,} rows{left}, {speed:,.0f} rows/s")

    return show
