"""Go durations, as the settings of both originals were written: `15m`, `720h`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

import durationpy

# durationpy also takes days, weeks, months, years and a minus sign, which Go does not or we do not want.
_GO = re.compile(r"\+?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
# Go counts nanoseconds in 64 bits, so what it cannot hold was never a working setting.
LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)
SHORTEST = timedelta(microseconds=1)


def parse(text: str) -> timedelta:
    """Raises ValueError for anything but a positive Go duration."""
    if not _GO.fullmatch(text):
        raise ValueError("not a Go duration")
    length = durationpy.from_str(text)
    if not SHORTEST <= length <= LONGEST:
        raise ValueError("out of range")
    return length


def show(length: timedelta) -> str:
    """The shortest Go duration that is read as exactly this one."""
    # durationpy would write a day and a microsecond as 24h1e-06s, which it does not read.
    left = length // timedelta(microseconds=1)
    parts = []
    for unit, size in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
