"""The elements of one long array in a JSON document, one after the other, in memory that does not grow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from infrastructure.importing.lines import MAX_LINE

_MARKS: Final = re.compile(rb'["\\{}\[\]]')
_BLOCK: Final = 256 * 1024
_MAX_KEY: Final = 64


class Torn(Exception):
    """The document ends in the middle."""


class NoSuchArray(Exception):
    """The document holds no such array."""


def elements(file: BinaryIO, key: str, limit: int = MAX_LINE) -> Iterator[bytes | None]:
    """The objects of the array that a document has under a key, as they stand; None for one beyond the limit.

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

    def block(self, block: bytes) -> Iterator[bytes | None]:
        """The elements that end in the next block."""
        begin = 0
        # A backslash at the end of the last block makes the first character here part of a string.
        skip = 0 if self._escaped else -1
        self._escaped = False
        name = 0
        for mark in _MARKS.finditer(block):
            at = mark.start()
            if at == skip:
                continue
            what = block[at : at + 1]
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
                if self._inside and self.depth == 2 and what == b"{":
                    self._parts, self._size, begin = [], 0, at
                elif self.depth == 1:
                    self._inside = what == b"[" and self._name == self._key
                    self.found = self.found or self._inside
                self.depth += 1
            elif what in b"}]":
                self.depth -= 1
                if self._parts is not None and self.depth == 2:
                    self._keep(block[begin : at + 1])
                    yield b"".join(self._parts) if self._size <= self._limit else None
                    self._parts = None
                self._inside = self._inside and self.depth >= 2
        if self._parts is not None:
            self._keep(block[begin:])
        if self.in_string:
            self._escaped = skip == len(block)
            if self.depth == 1:
                self._named(block[name:])

    def _named(self, part: bytes) -> None:
        self._name = (self._name + part)[:_MAX_KEY]

    def _keep(self, part: bytes) -> None:
        assert self._parts is not None
        self._size += len(part)
        if self._size > self._limit:
            self._parts = []
        else:
            self._parts.append(part)
