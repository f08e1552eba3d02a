"""Puts the clock of a process wrong, by as much as somebody else says while it runs.

Time namespaces leave the time of day alone, so the process itself has to lie: whatever asks `time.time` or
`datetime.now` is told another time. Clocks that only measure durations go on as they are.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import struct
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any


class Clock:
    """The side that says by how many seconds; a new one is right."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0.0)

    def set(self, seconds: float) -> None:
        """From now on the clock is ahead by so many seconds, or behind by them if negative."""
        if not self.file.exists():
            self.file.write_bytes(bytes(8))
        with open(self.file, "r+b") as file:
            file.write(struct.pack("d", seconds))


def shift(file: Path) -> None:
    """From here on this process believes the clock of a file."""
    with open(file, "rb") as opened:
        shared = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)

    def off() -> float:
        found: float = struct.unpack_from("d", shared)[0]
        return found

    right, right_ns = time.time, time.time_ns
    setattr(time, "time", lambda: right() + off())  # noqa: B010
    setattr(time, "time_ns", lambda: right_ns() + int(off() * 1e9))  # noqa: B010
    _shift_datetime(off)


def _shift_datetime(off: Callable[[], float]) -> None:
    # A subclass would not be the type that decoders and drivers know, so the type itself is changed.
    members: dict[str, Any] = gc.get_referents(datetime.__dict__)[0]
    now = members["now"]

    def shifted(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        told: datetime = now.__get__(None, cls)(tz)
        return told + timedelta(seconds=off())

    members["now"] = classmethod(shifted)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
