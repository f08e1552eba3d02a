"""The elements of one long array in a JSON document, one after the other, in memory that does not grow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO, Final

from infrastructure.importing.lines import MAX_LINE

_MARKS: Final = re.compile(rb'["\\{}\[\]]')
_BLOCK: Final = 256 * 1024
_MAX_KEY: Final = 64


class Torn(Exception):
    """The document ends in the middle."""


class NoSuchArray(Exception):
    """The document holds no such array."""


class Odd(Enum):
    """Why an element is not there as it stands."""

    TOO_LONG = "beyond the limit"
    NO_OBJECT = "a text, a number, null or an array"


Element = bytes | Odd


def elements(file: BinaryIO, key: str, limit: int = MAX_LINE) -> Iterator[Element]:
    """The elements of the array that a document has under a key: objects as they stand, and what is odd.

    Raises NoSuchArray or Torn where the document has come to its end.
    """
    scan = _Scan(key.encode(), limit)
    while block := file.read(_BLOCK):
        yield from scan.block(block)
    if scan.depth or scan.in_string:
        raise Torn
    if not scan.found:
        raise NoSuchArray


class _Scan:
    """Where a document has been read to: how deep, within a string or not, within an element or not."""

    def __init__(self, key: bytes, limit: int) -> None:
        self._key = key
        self._limit = limit
        self.depth = 0
        self.in_string = False
        self.found = False
        self._escaped = False
        self._inside = False
        self._name = b""
        self._parts: list[bytes] | None = None
        self._size = 0
        self._odd = False
        self._begin = 0
        """Where in the block the element begins that is being read."""

    @property
    def _between(self) -> bool:
        """Whether this is a place in the array where an element may begin."""
        return self._inside and self.depth == 2 and not self.in_string and self._parts is None

    def block(self, block: bytes) -> Iterator[Element]:
        """The elements that end in the next block."""
        self._begin = seen = name = 0
        # A backslash at the end of the last block makes the first character here part of a string.
        skip = 0 if self._escaped else -1
        self._escaped = False
        for mark in _MARKS.finditer(block):
            at = mark.start()
            if at == skip:
                continue
            what = block[at : at + 1]
            if self._between:
                yield from self._plain(block[seen:at])
                self._odd |= what in b'"['
            seen = at + 1
            if self.in_string:
                if what == b"\\":
                    skip = at + 1
                elif what == b'"':
                    self.in_string = False
                    if self.depth == 1:
                        self._named(block[name:at])
            elif what == b'"':
                self.in_string, name, self._name = True, at + 1, b""
            elif what in b"{[":
                self._opened(what, at)
            elif what in b"}]":
                yield from self._closed(block, at)
        if self._between:
            yield from self._plain(block[seen:])
        if self._parts is not None:
            self._keep(block[self._begin :])
        if self.in_string:
            self._escaped = skip == len(block)
            if self.depth == 1:
                self._named(block[name:])

    def _opened(self, what: bytes, at: int) -> None:
        if self._inside and self.depth == 2 and what == b"{":
            self._parts, self._size, self._begin = [], 0, at
        elif self.depth == 1:
            self._inside = what == b"[" and self._name == self._key
            self.found = self.found or self._inside
        self.depth += 1

    def _closed(self, block: bytes, at: int) -> Iterator[Element]:
        self.depth -= 1
        if self._parts is not None and self.depth == 2:
            self._keep(block[self._begin : at + 1])
            yield b"".join(self._parts) if self._size <= self._limit else Odd.TOO_LONG
            self._parts = None
        elif self._inside and self.depth == 1:
            yield from self._end_of_odd()
        self._inside = self._inside and self.depth >= 2

    def _plain(self, text: bytes) -> Iterator[Element]:
        """What stands between two marks of the array: commas, and whatever is neither text nor object."""
        for number, piece in enumerate(text.split(b",")):
            if number:
                yield from self._end_of_odd()
            self._odd |= bool(piece.strip())

    def _end_of_odd(self) -> Iterator[Element]:
        if self._odd:
            self._odd = False
            yield Odd.NO_OBJECT

    def _named(self, part: bytes) -> None:
        self._name = (self._name + part)[:_MAX_KEY]

    def _keep(self, part: bytes) -> None:
        assert self._parts is not None
        self._size += len(part)
        if self._size > self._limit:
            self._parts = []
        else:
            self._parts.append(part)
