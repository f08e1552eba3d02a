"""Files of accounts: NDJSON and CSV, read row by row, whatever they hold."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from application.import_runs import UnfitSource
from application.importing import Offered, SourceLost
from domain.errors import Fault
from infrastructure.importing.lines import MAX_LINE, TOO_LONG, Line, count, lines
from infrastructure.importing.rows import NEEDED, NotReadable, Read, account_of, broken, parsed, read_json

TORN = "The file ends in the middle of this row."
_JSON_COLUMNS = ("tags", "metadata", "private_metadata")


class _File:
    """A file that is opened anew for each reading, or a stream that is read once."""

    def __init__(self, path: Path | None, stream: BinaryIO | None) -> None:
        assert (path is None) != (stream is None)
        self.path = path
        self._stream = stream

    def lines(self) -> Generator[Line]:
        """Every line. Raises SourceLost where the file cannot be read any further."""
        try:
            if self.path is None:
                assert self._stream is not None
                yield from lines(self._stream)
                return
            with open(self.path, "rb") as opened:
                yield from lines(opened)
        except OSError as error:
            raise SourceLost(f"The file cannot be read any further ({error.strerror}).") from None

    def count(self) -> int | None:
        return count(self.path) if self.path else None


class NdjsonSource:
    """One account a line, as JSON. Implements Source."""

    header = b""

    def __init__(self, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self._file = _File(path, stream)
        self.size = self._file.count()

    def offered(self, after: int = 0) -> Iterator[Offered]:
        """A row for every line that is not blank; its place is the line's number."""
        for line in self._file.lines():
            if line.number > after and (line.data is None or line.data.strip()):
                read = broken(TOO_LONG) if line.data is None else read_json(line.data)
                yield _offered(line, read, line.data)


class CsvSource:
    """One account a record (RFC 4180), in columns that the first line names. Implements Source.

    A record may reach over several lines where a field is quoted. Where what a quote opens is no record of
    as many fields as there are columns, the first line alone is at fault, and what follows is read anew.
    """

    def __init__(self, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        csv.field_size_limit(MAX_LINE)
        self._file = _File(path, stream)
        self._lines = self._file.lines()
        self.header, self._columns = _head(next(self._lines, None))
        if path is not None:
            self._lines.close()
        whole = self._file.count()
        self.size = whole - 1 if whole is not None else None

    def offered(self, after: int = 0) -> Iterator[Offered]:
        """A row for every record; its place is the number of its first line."""
        if self._file.path is None:
            source = self._lines
        else:
            source = self._file.lines()
            next(source, None)
        for first, data, values in self._records(_Unread(source)):
            if first.number <= after:
                continue
            if data is None:
                yield _offered(first, broken(TOO_LONG), None)
            elif values is None:
                yield _offered(first, broken(self._fault(data)), data)
            else:
                yield _offered(first, self._account(values), data)

    def _records(self, unread: _Unread) -> Iterator[tuple[Line, bytes | None, Sequence[str] | None]]:
        """First line, bytes and fields of each record; no fields where it cannot be read."""
        while (first := unread.take()) is not None:
            if first.data is None:
                yield first, None, None
            elif first.data.strip():
                data, values = self._record(first.data, unread)
                yield first, data, values

    def _record(self, first: bytes, unread: _Unread) -> tuple[bytes, Sequence[str] | None]:
        parts, taken, size, is_open = [first], [], len(first), _is_open(first)
        while is_open and (more := unread.take()) is not None:
            taken.append(more)
            if more.data is None or (size := size + len(more.data) + 1) > MAX_LINE:
                break
            parts.append(more.data)
            is_open ^= _is_open(more.data)
        data = b"\n".join(parts)
        values = None if is_open else self._fields(data)
        if values is None and taken:
            unread.give_back(taken)
            data = first
        return data, values

    def _fields(self, data: bytes) -> Sequence[str] | None:
        try:
            rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
        except (csv.Error, UnicodeDecodeError):
            return None
        return rows[0] if len(rows) == 1 and len(rows[0]) == len(self._columns) else None

    def _fault(self, data: bytes) -> str:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"This is not UTF-8: byte {error.start} of the row belongs to another encoding."
        if _is_open(data):
            return "A quote opens a field here and none closes it (RFC 4180)."
        return f"The row has not the {len(self._columns)} fields that the first line names (RFC 4180)."

    def _account(self, values: Sequence[str]) -> Read:
        found: dict[str, Any] = {
            name: value for name, value in zip(self._columns, values, strict=True) if value
        }
        unkept: set[str] = set()
        for name in _JSON_COLUMNS:
            if name in found:
                try:
                    cell = parsed(found[name].encode())
                except NotReadable as error:
                    return Read(faults=(Fault(f"/{name}", f"The field is to hold JSON. {error}"),))
                found[name] = cell.value
                unkept.update(cell.unkept)
        return account_of(found, tuple(unkept))


def _head(line: Line | None) -> tuple[bytes, Sequence[str]]:
    if line is None or line.data is None:
        raise UnfitSource("The file has no first line that names its columns.")
    try:
        names = next(csv.reader([line.data.decode()], strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        raise UnfitSource("The first line of the file is no line of CSV in UTF-8 (RFC 4180).") from None
    names = [name.strip() for name in names]
    if missing := [name for name in NEEDED if name not in names]:
        raise UnfitSource(
            f"The first line of the file does not name the column {' and '.join(missing)}: it names the "
            "columns, separated by commas."
        )
    if len(set(names)) != len(names):
        raise UnfitSource("The first line of the file names a column twice.")
    return line.data, names


class _Unread:
    """Lines that can be given back."""

    def __init__(self, source: Iterator[Line]) -> None:
        self._source = source
        self._back: deque[Line] = deque()

    def take(self) -> Line | None:
        return self._back.popleft() if self._back else next(self._source, None)

    def give_back(self, taken: Sequence[Line]) -> None:
        self._back.extendleft(reversed(taken))


def _is_open(data: bytes) -> bool:
    """Whether a quote is open at the end: an escaped one counts twice."""
    return data.count(b'"') % 2 == 1


def _offered(line: Line, read: Read, raw: bytes | None) -> Offered:
    faults = read.faults
    if read.account is None and not line.ended and raw is not None:
        faults = (*faults, *broken(TORN).faults)
    return Offered(place=line.number, account=read.account, faults=faults, raw=raw, unkept=read.unkept)
