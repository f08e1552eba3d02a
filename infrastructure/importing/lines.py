"""Lines of files that may be anything: bounded, counted, and none of them lost."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

MAX_LINE: Final = 1024 * 1024
"""Bytes of one line, or of one record of several lines."""
_BLOCK: Final = 1024 * 1024

TOO_LONG: Final = f"The row has more than {MAX_LINE:,} bytes."


class Line(msgspec.Struct, frozen=True):
    """One line without its ending; `data` is None where it was too long and is skipped.

    `ended` is false for a last line behind which no line feed stands.
    """

    number: int
    data: bytes | None
    ended: bool = True


def lines(file: BinaryIO, limit: int = MAX_LINE) -> Iterator[Line]:
    """Every line, in memory that the limit bounds; a mark of byte order at the beginning is left out."""
    number = 0
    while data := file.readline(limit + 2):
        number += 1
        ended = data.endswith(b"\n")
        if len(data) == limit + 2 and not ended:
            yield Line(number, None, _skipped(file))
            continue
        if number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        bare = data.removesuffix(b"\n").removesuffix(b"\r") if ended else data
        yield Line(number, bare if len(bare) <= limit else None, ended)


def _skipped(file: BinaryIO) -> bool:
    """Whether what was skipped ended with a line feed, and not with the file."""
    return any(more.endswith(b"\n") for more in iter(lambda: file.readline(_BLOCK), b""))


def count(file: Path) -> int:
    """How many lines a file has. Raises OSError."""
    found, last = 0, b"\n"
    with open(file, "rb") as opened:
        while block := opened.read(_BLOCK):
            found += block.count(b"\n")
            last = block[-1:]
    return found + (last != b"\n")
