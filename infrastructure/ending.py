"""Lets SIGTERM and Ctrl-C end a start that takes its time, as they end what serves: at once, and with 0."""

from __future__ import annotations

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


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
