"""Reads the accounts of the services before this one where they stand: in their table, whatever the release.

Nothing here knows of releases. What the table is called and which columns it has is looked up, and whatever
of it means something to us is read. The other service may go on meanwhile: each page is a short transaction
that only reads, by the index of the ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL, Composable, Composed

from application.importing import Offered, SourceLost
from domain.events import Dialect
from infrastructure.importing.original_connection import Lasting, NotAnOriginal
from infrastructure.importing.original_rows import offered_by
from infrastructure.importing.original_table import find_table

__all__ = ["NotAnOriginal", "Original", "source_of"]

PAGE: Final = 1000
PAGE_CHARACTERS: Final = 4 * 1024 * 1024
"""Rows may be wide: a page ends where it has so many."""
WIDE_PAGE: Final = 10_000
"""Rows of a page where only ids and times are read."""

LOOK: Final = 5000
"""Rows that one look for changes reads at most."""

PATIENCE: Final = 60.0
"""Seconds for which a database that is away is waited for."""

_NOTHING: Final = SQL("")


class Times(msgspec.Struct, frozen=True):
    """When a row was changed last, in UTC without a zone, and what tells all its times from others.

    A time may lie ahead, where a clock did: then the last one stays as it is, whatever changes.
    """

    changed: datetime | None
    digest: bytes


Dated = tuple[Offered, Times]
"""A row, and its times."""

Since = tuple[datetime, str | None]
"""The time of a change and the id of the row behind which to go on; None: before all rows of that time."""


def source_of(dsn: str, dialect: str, *, patience: float = PATIENCE) -> Original:
    """The accounts in the database of a Magistrala Users or a Mainflux Users.

    Raises NotAnOriginal where it cannot be reached, or holds no table that they can be read from.
    """
    if dialect not in ("magistrala", "mainflux"):
        raise NotAnOriginal(f"There is no dialect {dialect!r}: say magistrala or mainflux.")
    return Original(Lasting(dsn, patience), "mainflux" if dialect == "mainflux" else "magistrala")


class Original:
    """Implements Source, and answers which rows have changed."""

    def __init__(self, database: Lasting, dialect: Dialect) -> None:
        self._database = database
        self._table = database.first(find_table)
        self._dialect = self._table.dialect(dialect)

    @property
    def size(self) -> int | None:
        """How many rows there are; None where counting them takes too long."""
        try:
            with self._database.patient(once=True):
                return int(self._rows(SQL("SELECT count(*) FROM {}").format(self._table.name))[0][0])
        except SourceLost:
            return None
        finally:
            self.close()

    @property
    def known_as(self) -> bytes:
        """What tells this table from others: in which database it is, and its name."""
        place = (*self._table.stands_in, self._table.schema, self._table.relation)
        return hashlib.sha256("\0".join(place).encode()).digest()

    @property
    def tells_changes(self) -> bool:
        """Whether the table says when a row was changed."""
        return "updated_at" in self._table.times

    def offered(self, after: int = 0) -> Iterator[Offered]:
        """Every row in the order of the ids. A place is a row's number in that order as it is now."""
        try:
            place, values, limit = after, list[Any](), PAGE
            condition: Composable = SQL("")
            start: Composable = SQL("OFFSET {}").format(after) if after else SQL("")
            while True:
                order = SQL("ORDER BY t.id LIMIT {} ").format(limit) + start
                rows, whole = self._page(condition, values, order)
                if not rows:
                    return
                for row in rows:
                    place += 1
                    yield self._offered(place, row)
                # The next rows are likely to be as wide as these.
                limit = min(2 * limit, PAGE) if whole else len(rows)
                condition, start = SQL("WHERE t.id > {}").format(self._table.id_placeholder), SQL("")
                values = [rows[-1][0]]
        finally:
            self.close()

    def of(self, ids: Sequence[str]) -> Iterator[list[Dated]]:
        """The rows of some ids, those that there still are, each with its times.

        Wide ones come page by page, each page the earliest change first.
        """
        condition = SQL("WHERE t.id = ANY({})").format(self._table.ids_placeholder)
        order = SQL("ORDER BY {} NULLS FIRST").format(self._table.changed)
        times = SQL(", {}, {}").format(self._table.changed, self._table.all_times)
        left, whole = list(ids), False
        while left and not whole:
            rows, whole = self._page(condition, [left], order, times)
            read = {row[0] for row in rows}
            left = [one for one in left if one not in read]
            yield [(self._offered(0, row), _times(*row[-2:])) for row in rows]

    def ids_of(self, ids: Sequence[UUID]) -> list[str]:
        """Those of some ids that there still are."""
        query = SQL("SELECT t.id::text FROM {} AS t WHERE t.id = ANY({})")
        asked = [str(one) for one in ids]
        return [
            row[0] for row in self._rows(query.format(self._table.name, self._table.ids_placeholder), [asked])
        ]

    def changed_since(self, since: Since) -> list[tuple[str, Times]]:
        """The ids and times of up to LOOK rows that were changed since, the earliest change first."""
        query = SQL(
            "SELECT t.id::text, {changed}, {times} FROM {table} AS t "
            "WHERE {condition} ORDER BY {changed}, t.id LIMIT {limit}"
        )
        time, behind = since
        if behind is None:
            condition = SQL("{} >= %s").format(self._table.changed)
        else:
            condition = SQL("({}, t.id) > (%s, {})").format(self._table.changed, self._table.id_placeholder)
        made = query.format(
            changed=self._table.changed,
            times=self._table.all_times,
            table=self._table.name,
            condition=condition,
            limit=LOOK,
        )
        return _timed(self._rows(made, [time] if behind is None else [time, behind]))

    def times(self) -> Iterator[list[tuple[str, Times]]]:
        """Every id with its times, page by page."""
        query = SQL("SELECT t.id::text, {}, {} FROM {} AS t {} ORDER BY t.id LIMIT {}")
        values = list[Any]()
        condition: Composable = SQL("")
        while True:
            times = self._table.changed, self._table.all_times
            rows = self._rows(query.format(*times, self._table.name, condition, WIDE_PAGE), values)
            if not rows:
                return
            yield _timed(rows)
            condition, values = SQL("WHERE t.id > {}").format(self._table.id_placeholder), [rows[-1][0]]

    def now(self) -> datetime:
        """The time by the clock of that database, in UTC, without a zone as everything here."""
        now: datetime = self._rows(SQL("SELECT now() AT TIME ZONE 'UTC'"))[0][0]
        return now

    def close(self) -> None:
        self._database.close()

    def _page(
        self, condition: Composable, values: list[Any], rest: Composable, more: Composable = _NOTHING
    ) -> tuple[list[tuple[Any, ...]], bool]:
        query = SQL("SELECT {}{} FROM {} AS t {} {}")
        made = query.format(self._table.selected, more, self._table.name, condition, rest)
        return self._asked(made, values, PAGE_CHARACTERS)

    def _rows(self, query: Composed | SQL, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._asked(query, values, None)[0]

    def _asked(
        self, query: Composed | SQL, values: Sequence[Any], most: int | None
    ) -> tuple[list[tuple[Any, ...]], bool]:
        try:
            return self._database.page(query, values, most)
        except psycopg.ProgrammingError:
            raise SourceLost(
                f"The table {self._table.relation} was changed or closed to this user while it was read. "
                "What was taken stays; run the same command again when the other service's upgrade is done."
            ) from None

    def _offered(self, place: int, row: Sequence[Any]) -> Offered:
        fields = dict(zip(self._table.fields, row, strict=False))
        return offered_by(place, fields, self._dialect)


def _timed(rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, Times]]:
    return [(one, _times(changed, times)) for one, changed, times in rows]


def _times(changed: datetime | None, times: Sequence[datetime | None]) -> Times:
    told = " ".join([one.isoformat() if one else "-" for one in times])
    return Times(changed, hashlib.sha256(told.encode()).digest()[:16])
