"""How the command line speaks: data on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from rich.console import Console
from rich.table import Table

FAILURE = 1
USAGE = 2
DIVERGED = 65  # EX_DATAERR: the log is older than what was made from it; starting again does not help
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a script may repeat the command

err = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Tell the person at the terminal something that is not data."""
    # A terminal breaks long lines by itself; in a file or a pipe one message stays one line.
    err.print(line, markup=False, soft_wrap=True)


def fail(line: object, code: int = FAILURE) -> NoReturn:
    """End with one message and an exit code that a script can use."""
    err.print(str(line), markup=False, soft_wrap=True, style="red" if err.is_terminal else None)
    raise SystemExit(code)


def show(rows: Sequence[msgspec.Struct], *, as_json: bool, empty: str) -> None:
    """Rows as a table for people or as JSON lines for programs."""
    if as_json:
        for row in rows:
            line(row)
        return
    if not rows:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    fields = [field.name for field in msgspec.structs.fields(type(rows[0]))]
    for field in fields:
        table.add_column(field.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*[_cell(getattr(row, field)) for field in fields])
    wide = Console(highlight=False)
    Console(highlight=False, width=max(wide.width, 200) if not wide.is_terminal else None).print(table)


def line(row: object) -> None:
    """One JSON object on one line."""
    sys.stdout.write(msgspec.json.encode(row, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ", timespec="seconds"))
    return str(value)
