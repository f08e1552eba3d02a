"""Heeds cancellations that a library has dropped, so that whoever works until cancelled does end."""

from __future__ import annotations

import asyncio


def heed_cancellation() -> None:
    """Raise the cancellation of the present task that was asked for and that nobody has raised.

    `asyncio.wait_for` of Python 3.11, which the database driver waits by, drops a cancellation that comes in
    the same moment as its result (CPython issue 86296). Who loops for ever calls this in each round.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
