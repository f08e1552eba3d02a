"""The bar that shows on standard error how far long work is, how fast it goes and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from interfaces.cli.output import err

Moved = Callable[[int, int], None]
"""Hears of how much is done, and of how much there is."""


@contextmanager
def bar(what: str, unit: str = "events") -> Iterator[Moved]:
    """A bar for as long as the work goes on; nothing where standard error is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    with shown:
        task = shown.add_task(what, total=None, rate="")

        def moved(done: int, total: int) -> None:
            speed = shown.tasks[0].speed
            rate = f"{speed:,.0f} {unit}/s" if speed else ""
            shown.update(task, completed=done, total=total, rate=rate)

        yield moved
