"""Processes that are quick to start and may be killed at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_LOADED = [
    "tests.soak.naive", "tests.soak.operating", "tests.soak.owning", "tests.soak.writing",
    "tests.chaos.playing",
]  # fmt: skip


class Member:
    """A process with a part to play; started again it plays the same part anew."""

    def __init__(
        self, part: str, begin: Callable[[], tuple[Callable[..., None], tuple[Any, ...]]], log: Path
    ):
        self.part = part
        self.stopped = False
        self.log = log
        self._begin = begin
        self._process: BaseProcess | None = None
        self.start()

    def start(self) -> None:
        target, arguments = self._begin()
        self.stopped = False
        self._process = _CONTEXT.Process(target=play, args=(str(self.log), target, arguments), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        assert self._process is not None
        return self._process.exitcode

    def said(self) -> str:
        """The end of what it said, in one line."""
        return " / ".join(self.log.read_text(errors="replace").split("\n")[-4:]).strip(" /^")

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.code is None:
            self.stopped = number == signal.SIGSTOP
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, within: float) -> int | None:
        """Its exit code once it has ended by itself; None where that takes longer than so many seconds."""
        assert self._process is not None
        self._process.join(within)
        return self.code

    def end(self) -> None:
        """Kill it and wait until it has gone."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.join(30)


class Crew:
    """Everybody who takes part."""

    def __init__(self, folder: Path) -> None:
        self.members: list[Member] = []
        self._folder = folder

    def join(self, part: str, target: Callable[..., None], *arguments: Any) -> Member:
        """Have a process play a part: the function with these arguments."""
        return self.join_anew(part, lambda: (target, arguments))

    def join_anew(
        self, part: str, begin: Callable[[], tuple[Callable[..., None], tuple[Any, ...]]]
    ) -> Member:
        """As `join`, where a start is told anew what it does."""
        member = Member(part, begin, self._folder / f"{part}.{len(self.members)}.log")
        self.members.append(member)
        return member

    def of(self, part: str) -> list[Member]:
        return [member for member in self.members if member.part == part]

    def end(self, *parts: str) -> None:
        """End those who play these parts, or all."""
        for member in self.members:
            if not parts or member.part in parts:
                member.end()


@contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    """A crew; none of its processes is left afterwards."""
    # What is loaded once need not be loaded by each process: starting one takes some 20 ms.
    _CONTEXT.set_forkserver_preload(_LOADED)
    made = Crew(folder)
    try:
        yield made
    finally:
        made.end()


def play(log: str, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What such a process does: all it says goes to a file, and it does not outlive who started it."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    target(*arguments)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
