"""Readers that are wrong on purpose, in ways that others have shipped, and one that is right to compare with.

What they keep is a row for each position they have applied. The soak has to find each of the wrong ones.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, LiteralString

import psycopg

PAGE = 5
POLL = 0.02
AGAIN = 0.03

_PAGE: LiteralString = "SELECT position FROM events WHERE position > %s ORDER BY position LIMIT %s"
_STANDING: LiteralString = "SELECT position, at FROM naive_positions WHERE reader = %s"
_LOCKED: LiteralString = "SELECT position FROM naive_positions WHERE reader = %s FOR UPDATE"
_MOVE: LiteralString = "UPDATE naive_positions SET position = %s WHERE reader = %s"
_MOVE_TIME: LiteralString = "UPDATE naive_positions SET position = %s, at = %s WHERE reader = %s"
_ROWS: LiteralString = "INSERT INTO naive_rows SELECT %s, unnest(%s::int8[])"

Connection = psycopg.Connection[tuple[Any, ...]]


class Reader(ABC):
    """A reader of the log on a connection; it begins where its row says that it is."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self.connection = connection
        (self.position, self.at) = connection.execute(_STANDING, (name,)).fetchall()[0]

    def page(self, query: LiteralString = _PAGE) -> list[int]:
        return [row[0] for row in self.connection.execute(query, (self.position, PAGE)).fetchall()]

    def keep(self, positions: Sequence[int]) -> None:
        self.connection.execute(_ROWS, (self.name, list(positions)))

    def move(self, to: int) -> None:
        self.connection.execute(_MOVE, (to, self.name))
        self.position = to

    @abstractmethod
    def step(self) -> bool:
        """Apply what comes next; whether there was anything."""


class Careful(Reader):
    """Right: rows and position in one transaction, from the position as it is under its lock."""

    def step(self) -> bool:
        with self.connection.transaction():
            ((self.position,),) = self.connection.execute(_LOCKED, (self.name,)).fetchall()
            if page := self.page():
                self.keep(page)
                self.move(page[-1])
        return bool(page)


class PositionFirst(Reader):
    """Wrong: the position moves in a transaction of its own, and the rows come after it."""

    def step(self) -> bool:
        if page := self.page():
            self.move(page[-1])
            self.keep(page)
        return bool(page)


class RowsFirst(Reader):
    """Wrong: the rows come in a transaction of their own, and the position after them."""

    def step(self) -> bool:
        if page := self.page():
            self.keep(page)
            self.move(page[-1])
        return bool(page)


class Unfenced(Reader):
    """Wrong: it believes to be the only one, and goes on from where it remembers to be."""

    def step(self) -> bool:
        if page := self.page():
            with self.connection.transaction():
                self.keep(page)
                self.move(page[-1])
        return bool(page)


class Notified(Reader):
    """Wrong: the position that it was told of is taken for the one that it has reached."""

    def __init__(self, name: str, connection: Connection) -> None:
        super().__init__(name, connection)
        connection.execute("LISTEN usersd_events")

    def step(self) -> bool:
        told = list(self.connection.notifies(timeout=POLL, stop_after=1))
        for notice in told:
            with self.connection.transaction():
                if page := self.page():
                    self.keep(page)
                self.move(int(notice.payload))
        return bool(told)


class BySequence(Reader):
    """Wrong: a number that is drawn before the commit is taken for the order of the commits."""

    def step(self) -> bool:
        page = self.page("SELECT position FROM naive_events WHERE position > %s ORDER BY position LIMIT %s")
        if page:
            with self.connection.transaction():
                self.keep(page)
                self.move(page[-1])
        return bool(page)


class ByTime(Reader):
    """Wrong: the time at which a transaction began is taken for the order of the commits."""

    def step(self) -> bool:
        found = self.connection.execute(
            "SELECT position, at FROM naive_events WHERE at > %s ORDER BY at, position LIMIT %s",
            (self.at, PAGE),
        ).fetchall()
        if found:
            with self.connection.transaction():
                self.keep([position for position, _ in found])
                self.at = found[-1][1]
                self.connection.execute(_MOVE_TIME, (found[-1][0], self.at, self.name))
        return bool(found)


READERS: dict[str, Callable[[str, Connection], Reader]] = {
    "careful": Careful,
    "position-first": PositionFirst,
    "rows-first": RowsFirst,
    "unfenced": Unfenced,
    "notified": Notified,
    "by-sequence": BySequence,
    "by-time": ByTime,
}

OF_THE_NAIVE_LOG = ("by-sequence", "by-time")
"""Those that read a log whose order is not that of its commits, which ours cannot show."""

IN_TWO_PROCESSES = ("careful", "unfenced")
"""Those that have a stand-by, as a lease does that has run out unnoticed."""


def read(conninfo: str, name: str) -> None:
    """Read until killed, through lost connections."""
    while True:
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                reader = READERS[name](name, connection)
                while True:
                    if not reader.step():
                        time.sleep(POLL)
        except psycopg.Error:
            time.sleep(AGAIN)
