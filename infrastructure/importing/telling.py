"""Tells what was not followed: each account and reason once, and rows that have no id by what finds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final

from application.following import Followed, Notice

NAMED: Final = 100
"""Rows with an id that is none that are named one by one; the others are counted."""

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""What may be shown: shorter ones of the same characters could be somebody's telephone number."""


class Telling:
    """Counts what is told among what was left."""

    def __init__(self, count: Followed, notice: Callable[[Notice], None]) -> None:
        self._count = count
        self._notice = notice
        self._told: set[tuple[str, str]] = set()
        self._named: set[str] = set()
        self._unnamed = 0
        self._unnamed_told = 0

    def tell(self, one: str, why: str) -> None:
        """Tell of an account, unless there is nothing to tell or it was told before."""
        if why and (one, why) not in self._told:
            self._told.add((one, why))
            self._count.left += 1
            self._notice(Notice(one, why))

    def tell_of_a_row(self, key: str, why: str) -> None:
        """Tell of a row that is no account, by its id as it stands there."""
        if not any(letter.isupper() for letter in key) and _UUID.fullmatch(key):
            self.tell(key, why)
            return
        name = _name_of(key)
        if name not in self._named:
            if len(self._named) == NAMED:
                self._unnamed += 1
                return
            self._named.add(name)
        self.tell(name, why)

    def tell_of_the_rest(self) -> None:
        """Tell how many rows were not named, where there are more of them than at the last time."""
        more, self._unnamed = self._unnamed, 0
        if more > self._unnamed_told:
            self._count.left += more - self._unnamed_told
            self._unnamed_told = more
            why = "Their ids are none either. `usersd import --dry-run --report FILE` names the row of each."
            self._notice(Notice(f"({more:,} more rows)", why))


def _name_of(key: str) -> str:
    """An id that is none as it may be shown: it could be anything, somebody's email too."""
    if _UUID.fullmatch(key):
        return key
    if not key:
        return "(no id)"
    return f"(an id whose SHA-256 begins with {hashlib.sha256(key.encode()).hexdigest()[:16]})"
