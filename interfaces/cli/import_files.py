"""The files that an import leaves behind: what became of each row, and the rows that were refused.

Both appear whole, when the run has come to its end: a run that was cut short leaves nothing that could be
taken for all there is, and the next one writes them anew.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from application.import_runs import Code, Settled
from application.importing import Offered
from domain.errors import Fault

_ENCODE = msgspec.json.Encoder().encode


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a row was refused, and on which line of the file of refused rows it begins; 0: it is not there."""

    line: int
    place: int
    id: str
    code: Code
    faults: tuple[Fault, ...]


class WholeFile:
    """A file that is written under another name until everything is in it; only its owner may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._file: io.BufferedWriter | None = None

    def write(self, line: bytes) -> None:
        """Add a line, which may be a record of several. Raises OSError."""
        if self._file is None:
            self._part.unlink(missing_ok=True)
            self._file = io.BufferedWriter(io.FileIO(self._part, "x", opener=_private))
        self._file.write(line + b"\n")

    def keep(self) -> None:
        """Give the file its name, if anything was written. Raises OSError."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.replace(self.path)

    def close(self) -> None:
        """Take away what was not kept."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)


class Rejects:
    """Refused rows as they came, and the reasons of each beside them."""

    def __init__(self, rows: WholeFile, reasons: WholeFile, header: bytes) -> None:
        self._rows = rows
        self._reasons = reasons
        self._header = header
        self._line = 1

    def refuse(self, offered: Offered, settled: Settled) -> None:
        """Keep a refused row. Raises OSError."""
        assert settled.code is not None
        begins = 0
        if offered.raw is not None:
            if self._line == 1 and self._header:
                self._write(self._header)
            begins = self._line
            self._write(offered.raw)
        who = str(settled.id) if settled.id else ""
        why = Refusal(line=begins, place=offered.place, id=who, code=settled.code, faults=settled.faults)
        self._reasons.write(_ENCODE(why))

    def _write(self, raw: bytes) -> None:
        self._rows.write(raw)
        self._line += 1 + raw.count(b"\n")


class Left:
    """What hears of every row and writes what was asked for."""

    def __init__(self, report: WholeFile | None, rejects: Rejects | None, files: list[WholeFile]) -> None:
        self._report = report
        self._rejects = rejects
        self._files = files

    def hear(self, offered: Offered, settled: Settled) -> None:
        """Write of one row. Raises OSError."""
        if self._report is not None:
            self._report.write(_ENCODE(settled))
        if self._rejects is not None and settled.outcome == "refused":
            self._rejects.refuse(offered, settled)

    def keep(self) -> None:
        """Everything was heard. Raises OSError."""
        for file in self._files:
            file.keep()


@contextmanager
def left_behind(report: Path | None, rejects: Path | None, header: bytes) -> Iterator[Left]:
    """The files that were asked for; `header` begins the file of refused rows."""
    files: list[WholeFile] = []
    with ExitStack() as stack:

        def file(path: Path) -> WholeFile:
            made = WholeFile(path)
            stack.callback(made.close)
            files.append(made)
            return made

        told = file(report) if report else None
        refused = Rejects(file(rejects), file(reasons_of(rejects)), header) if rejects else None
        yield Left(told, refused, files)


def reasons_of(rejects: Path) -> Path:
    """Where the reasons stand beside the refused rows."""
    return rejects.with_name(rejects.name + ".reasons")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
