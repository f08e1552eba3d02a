"""Looks secrets up in a file of stolen ones: SHA-1 hashes in order, as Have I Been Pwned publishes them."""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import re
from pathlib import Path

_LINE = re.compile(rb"[0-9A-Fa-f]{40}(?::[0-9]+)?\r?")
_HASH = 40
_LOOKED_AT = 100
"""How many lines are checked when the file is opened: enough to tell a file of another kind or order."""


class NoBreachList(Exception):
    """The file cannot be used as a list of stolen secrets; the text says why."""


class BreachedSecrets:
    """A list of any size; a look-up reads some thirty lines of it and keeps none in memory."""

    def __init__(self, file: Path) -> None:
        """Raises NoBreachList."""
        try:
            with file.open("rb") as handle:
                self._lines = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise NoBreachList(f"{file} cannot be read: {type(error).__name__}.") from None
        self._check(file)

    async def holds(self, secret: str) -> bool:
        """Whether the list has the secret. The file may lie on a slow disk, so a thread looks."""
        return await asyncio.to_thread(self._find, _hash_of(secret))

    def close(self) -> None:
        self._lines.close()

    def _find(self, wanted: bytes) -> bool:
        low, high = 0, len(self._lines)
        while low < high:
            middle = self._beginning((low + high) // 2)
            found = self._lines[middle : middle + _HASH].upper()
            if found == wanted:
                return True
            if found < wanted:
                low = self._lines.find(b"\n", middle) + 1 or high
            else:
                high = middle
        return False

    def _beginning(self, place: int) -> int:
        """Where the line begins that a place lies in."""
        return self._lines.rfind(b"\n", 0, place) + 1

    def _check(self, file: Path) -> None:
        before = b""
        for number in range(_LOOKED_AT):
            start = self._beginning(len(self._lines) * number // _LOOKED_AT)
            end = self._lines.find(b"\n", start)
            line = self._lines[start : end if end >= 0 else len(self._lines)]
            if not _LINE.fullmatch(line):
                raise NoBreachList(
                    f"{file} is no list of stolen secrets: each line is a SHA-1 hash in 40 hexadecimal "
                    f"digits, with or without a count behind a colon, and the line at byte {start} is not."
                )
            if line[:_HASH].upper() < before:
                raise NoBreachList(f"{file} is not in the order of its hashes (byte {start}): sort it first.")
            before = line[:_HASH].upper()


def _hash_of(secret: str) -> bytes:
    # SHA-1 is what such lists are made of; nothing is protected by it.
    return hashlib.sha1(secret.encode("utf-8", "replace"), usedforsecurity=False).hexdigest().upper().encode()
