"""Shows how far a rebuild is: a bar for people, a line every few seconds where nobody looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from application.operations import Progress
from interfaces.cli.output import err, say

EVERY = 5.0
"""Seconds between two lines of the same stage."""

STOPPED = 130  # 128 and the number of SIGINT, as shells say it

Moved = Callable[[Progress], None]


@contextmanager
def shown(name: str) -> Iterator[Moved]:
    """Hears of the progress of a rebuild for as long as it goes on."""
    if not err.is_terminal:
        yield Lines(name)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
    )
    with bar:
        task = bar.add_task(name, total=None, rate="")
        stage = ""

        def moved(step: Progress) -> None:
            nonlocal stage
            if step.stage != stage:
                # Another stage has another speed.
                stage = step.stage
                bar.reset(task, total=step.total, description=f"{name}: {stage}", rate="")
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} {step.unit}/s" if speed and step.unit == "events" else ""
            bar.update(task, completed=step.done, total=step.total, rate=rate)

        yield moved


class Lines:
    """A line when a stage begins, and every few seconds: done, rate since it began, time left."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._stage = ""
        self._began = self._said = 0.0
        self._first = 0

    def __call__(self, step: Progress) -> None:
        now = self._clock()
        if step.stage != self._stage:
            self._stage, self._began, self._first = step.stage, now, step.done
        elif now - self._said < EVERY:
            return
        self._said = now
        rate = (step.done - self._first) / (now - self._began) if now > self._began else 0.0
        line = f"{self._name}: {step.stage}, {step.done:,} of {step.total:,} {step.unit}"
        if rate > 0:
            line += f", {rate:,.0f}/s" if step.unit == "events" else ""
            line += f", {(step.total - step.done) / rate:,.0f} s left"
        say(line)


def stopped(name: str) -> str:
    """What somebody is told who has pressed Ctrl-C."""
    return (
        f"{name}: the rebuild is stopped, and what it has done is kept: usersd projections rebuild {name} "
        "goes on from there."
    )
