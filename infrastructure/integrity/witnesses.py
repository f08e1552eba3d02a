"""The checkpoints a log is held against: those of the database and those of a file, each checked by itself.

The file is read twice and the table by its number, so that memory stays flat however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from infrastructure.integrity.checkpoint import (
    CheckpointInvalid,
    Signed,
    Voids,
    link_to,
    verified,
)
from infrastructure.integrity.file import CheckpointFile

_PAGE = "SELECT number, checkpoint FROM log_checkpoints WHERE number > %s ORDER BY number LIMIT 500"

Tell = Callable[..., None]
"""Hears of a finding: its kind, what it means, and a position where there is one."""

Entry = tuple[int, str, Signed | None, str]
"""A checkpoint's number, its text, what it says where its signature holds, and why it does not."""


class Witnesses:
    """The checkpoints that hold, in the order of their numbers; findings about the others are told.

    `kid` is the key that must have signed them. What an accepted restore has voided is counted in `void`.
    """

    def __init__(self, connection: psycopg.Connection, file: CheckpointFile | None, kid: str) -> None:
        self._connection = connection
        self._file = file
        self._kid = kid
        self._voids = Voids()
        self._unreadable = 0
        self.void = 0
        self.notes: list[str] = []

    def read(self, tell: Tell) -> Iterator[Signed]:
        """Go over both once, telling of each checkpoint that is missing, replaced or not ours; then answer
        with those that hold. Raises CheckpointFileUnusable and psycopg.Error."""
        inside = sum(1 for entry in self._inside() if self._noted(entry))
        outside = sum(1 for entry in self._outside() if self._noted(entry)) if self._file else 0
        if not outside:
            self.notes.append(
                "No checkpoint from outside of the database was at hand: that checkpoints were removed "
                "together with the end of the log cannot be seen."
            )
        if not inside and not outside:
            self.notes.append("There is no checkpoint yet: only the chains of each user were looked at.")
        last = self._compared(tell)
        return self._holding(last)

    def _noted(self, entry: Entry) -> bool:
        # Only what our key has signed may void anything.
        signed = entry[2]
        if signed and signed.kid == self._kid:
            self._voids.note(signed.checkpoint)
        return True

    def _compared(self, tell: Tell) -> int:
        """Both side by side, by number; the last number."""
        previous: tuple[int, str] | None = None
        number = only_inside = 0
        for number, inside, outside in self._merged():
            chosen = outside or inside
            assert chosen is not None
            self._check(chosen, previous, tell)
            if inside and outside and inside[1] != outside[1]:
                tell("checkpoint", f"checkpoint {number} of the database is not the one that stands in the "
                     "file: one of both was replaced")  # fmt: skip
            elif outside and not inside:
                tell("checkpoint", f"checkpoint {number} stands in the file and not in the database: it was "
                     "removed there, or the database was restored from a backup")  # fmt: skip
            only_inside += bool(inside and not outside and self._file)
            previous = number, chosen[1]
        if only_inside:
            self.notes.append(f"{only_inside} checkpoints are in the database and not in the file.")
        if self._unreadable:
            self.notes.append(
                f"{self._unreadable} lines of the file are no checkpoints whose signature holds."
            )
        return number

    def _check(self, entry: Entry, previous: tuple[int, str] | None, tell: Tell) -> None:
        number, _, signed, reason = entry
        expected = previous[0] + 1 if previous else 1
        if signed is None:
            tell("checkpoint", f"checkpoint {number} does not hold: {reason}")
            return
        checkpoint = signed.checkpoint
        if self._voids.covers(number, checkpoint.position):
            return
        if signed.kid != self._kid:
            tell("checkpoint", f"checkpoint {number} is signed by a key that is not this service's")
        elif checkpoint.number != number:
            tell("checkpoint", f"checkpoint {checkpoint.number} stands in the place of checkpoint {number}")
        elif number != expected:
            tell("checkpoint", f"checkpoints {expected} to {number - 1} are missing")
        elif checkpoint.previous != (link_to(previous[1]) if previous else ""):
            tell("checkpoint", f"checkpoint {number} does not follow the one before it: one was replaced")

    def _holding(self, last: int) -> Iterator[Signed]:
        for number, inside, outside in self._merged():
            chosen = (outside or inside or (0, "", None, ""))[2]
            if number > last or chosen is None or chosen.kid != self._kid:
                continue
            if self._voids.covers(number, chosen.checkpoint.position):
                self.void += 1
            else:
                yield chosen

    def _merged(self) -> Iterator[tuple[int, Entry | None, Entry | None]]:
        """Both by ascending number, side by side where both have it."""
        inside, outside = self._inside(), self._outside()
        mine, theirs = next(inside, None), next(outside, None)
        while mine or theirs:
            number = min(entry[0] for entry in (mine, theirs) if entry)
            left = mine if mine and mine[0] == number else None
            right = theirs if theirs and theirs[0] == number else None
            yield number, left, right
            mine = next(inside, None) if left else mine
            theirs = next(outside, None) if right else theirs

    def _inside(self) -> Iterator[Entry]:
        number = -(2**63)
        while rows := self._connection.execute(_PAGE, (number,)).fetchall():
            for number, text in rows:
                yield _entry(number, text)

    def _outside(self) -> Iterator[Entry]:
        if self._file is None:
            return
        number = self._unreadable = 0
        for found in self._file.oldest_first():
            if isinstance(found, str):
                self._unreadable += 1
            elif found.checkpoint.number > number:
                # A line that stands there twice was written by two processes at once.
                number = found.checkpoint.number
                yield number, found.text, found, ""


def _entry(number: Any, text: str) -> Entry:
    try:
        return number, text, verified(text), ""
    except CheckpointInvalid as error:
        return number, text, None, str(error)
