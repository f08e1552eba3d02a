"""A connection to the database of another service: it only reads, holds no lock for long, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, LiteralString, TypeVar, cast

import psycopg
from psycopg import capabilities
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Composed

from application.importing import SourceLost

T = TypeVar("T")

_BEGIN: Final[LiteralString] = (
    "BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '5s'; SET LOCAL jit = off"
)

_DEFAULTS: Final = {"connect_timeout": "10", "application_name": "usersd import", "tcp_user_timeout": "30000"}

_FEW: Final = 8 if capabilities.has_stream_chunked() else 1
"""Rows that come at once where each of them may be wide."""

_LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class NotAnOriginal(Exception):
    """Accounts cannot be read from there; the text says why and what to do."""


class Lasting:
    """Answers one query after the other, each in a transaction of its own; connects again when it must.

    `patience` is for how many seconds a query is tried again.
    """

    def __init__(self, dsn: str, patience: float) -> None:
        try:
            given = conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:
            # The driver's own words would quote a part of it, which may be the password.
            raise NotAnOriginal(
                "This is not where a PostgreSQL is. Give it as postgresql://user:password@host:5432/database."
            ) from None
        self._dsn = make_conninfo(dsn, **{key: value for key, value in _DEFAULTS.items() if key not in given})
        self._patience = patience
        self._connection: psycopg.Connection[Any] | None = None

    def first(self, look: Callable[[psycopg.Connection[Any]], T]) -> T:
        """What a first look finds. Raises NotAnOriginal at once where nobody answers or lets us in."""
        try:
            return look(self._connected())
        except _LOST as error:
            raise NotAnOriginal(
                f"The database of the other service cannot be used: {_said(error)}. Check the address, the "
                "user and the password after --from; no more is needed than SELECT on the table of accounts."
            ) from None
        finally:
            self.close()

    def rows(self, query: SQL | Composed, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Raises SourceLost when nobody has answered for as long as the patience lasts."""
        return self.page(query, values)[0]

    def page(
        self, query: SQL | Composed, values: Sequence[Any], most: int | None = None
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """Rows, and whether these are all: no more are read once their texts have `most` characters.

        Raises as `rows`.
        """
        deadline, pause = time.monotonic() + self._patience, 0.05
        while True:
            try:
                connection = self._connected()
                connection.execute(_BEGIN)
                found = _up_to(connection, query, values, most)
                connection.execute("COMMIT" if found[1] else "ROLLBACK")
            except _LOST as error:
                self.close()
                if time.monotonic() + pause >= deadline:
                    raise SourceLost(
                        f"The database of the other service has not answered for {self._patience:.0f} s: "
                        f"{_said(error)}. What was taken stays; run the same command again when it is back, "
                        "and it goes on."
                    ) from None
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
            except psycopg.Error:
                self.close()
                raise
            else:
                return found

    @contextmanager
    def patient(self, *, once: bool) -> Iterator[None]:
        """For a question that nothing hangs on: it is asked once."""
        patience, self._patience = self._patience, 0.0 if once else self._patience
        try:
            yield
        finally:
            self._patience = patience

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            # Nothing is prepared, and nothing set for longer than a transaction: a pooler may be between.
            self._connection = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        return self._connection


def _up_to(
    connection: psycopg.Connection[Any], query: SQL | Composed, values: Sequence[Any], most: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    if most is None:
        return connection.execute(query, values or None).fetchall(), True
    rows: list[tuple[Any, ...]] = []
    size = 0
    read = cast("Generator[tuple[Any, ...]]", connection.cursor().stream(query, values or None, size=_FEW))
    with closing(read) as stream:
        # A few at a time, so that what is not wanted is never here at once.
        for row in stream:
            rows.append(row)
            size += sum([len(value) for value in row if value.__class__ is str])
            if size >= most:
                return rows, False
    return rows, True


def _said(error: psycopg.Error) -> str:
    """The first line of what the server or the driver says; neither ever says a password."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
