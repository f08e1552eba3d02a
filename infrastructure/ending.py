"""Lets SIGTERM and Ctrl-C end what takes its time: a start at once, regular work after its present step."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Ended(BaseException):
    """Somebody ended the process before it served; whatever was being made is given back on the way out."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """From here on a signal raises Ended in the main thread, until a loop has handlers of its own."""
    before: dict[int, Any] = {
        number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            # An event loop that has run since has put its own in the place, and taken it away again.
            if signal.getsignal(number) is _end:
                signal.signal(number, handler)


@contextmanager
def told_to_end() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or Ctrl-C sets; the second one ends the process as ever."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def hear() -> None:
        end.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, hear)
    try:
        yield end
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
