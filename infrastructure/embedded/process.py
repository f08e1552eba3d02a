"""A process is told apart from a later one with the same number, so that no stranger is ever signalled."""

import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PROGRAM = re.compile(r"([^\0]*/)?(postgres|nats-server|initdb)[\0 ]")


@dataclass(frozen=True)
class Process:
    """A process number together with the moment that process was born."""

    pid: int
    born: str

    def alive(self) -> bool:
        return _born(self.pid) == self.born


def identify(pid: int) -> Process:
    return Process(pid, _born(pid) or "gone")


def place() -> str:
    """Where process numbers mean what they mean here: this machine, since it booted, in this container."""
    if not _has_proc():
        return platform.node()
    return f"{_boot()} {os.readlink('/proc/self/ns/pid')}"


def marked(mark: str) -> list[int]:
    """The servers of one run: its random mark is in their command line and in PostgreSQL's process titles."""
    return [pid for pid, command in _commands() if pid != os.getpid() and _is_server(command, mark)]


def stop_marked(mark: str, patience: float) -> bool:
    """Ask the servers of one run to stop, insist when they do not, and say whether all have gone."""
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGKILL, 5.0)):
        _signal_marked(mark, number)
        if _poll(lambda: not marked(mark), seconds):
            return True
    return False


def _signal_marked(mark: str, number: signal.Signals) -> None:
    pids = marked(mark)
    for pid in pids:
        # PostgreSQL's children follow their postmaster; a cancel sent to each would only add noise.
        if number == signal.SIGINT and _parent(pid) in pids:
            continue
        with suppress(ProcessLookupError):
            _signal(pid, number, mark)


def _signal(pid: int, number: signal.Signals, mark: str) -> None:
    handle = _pin(pid)
    try:
        if pid not in marked(mark):
            return
        if sys.platform == "linux" and handle is not None:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(pid, number)
    finally:
        if handle is not None:
            os.close(handle)


def _pin(pid: int) -> int | None:
    """A descriptor that pins the process before the last look, so that its number cannot change hands."""
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _is_server(command: str, mark: str) -> bool:
    titled = command.startswith(f"postgres: {mark}:")
    return titled or (_PROGRAM.match(command) is not None and mark in command)


def _commands() -> list[tuple[int, str]]:
    if not _has_proc():
        return _commands_from_ps()
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found.append((int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")))
    return found


def _commands_from_ps() -> list[tuple[int, str]]:
    rows = (line.strip().partition(" ") for line in _ps("-axww", "-o", "pid=,command=").splitlines())
    return [(int(pid), command.strip()) for pid, _, command in rows if pid.isdigit()]


def _born(pid: int) -> str | None:
    if not _has_proc():
        state, _, birth = _ps("-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
        return None if not state or state.startswith("Z") else birth.strip()
    fields = _stat(pid)
    # A zombie has ended; only its parent has not looked yet.
    return None if not fields or fields[0] == "Z" else fields[19]


def _parent(pid: int) -> int | None:
    if not _has_proc():
        answer = _ps("-o", "ppid=", "-p", str(pid)).strip()
        return int(answer) if answer else None
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    # The name may hold spaces and brackets; what follows its last bracket is regular.
    return text[text.rindex(")") + 2 :].split()


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _has_proc() -> bool:
    return (_PROC / "self" / "stat").exists()


def _ps(*arguments: str) -> str:
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    return subprocess.run(
        ["ps", *arguments], env=environment, capture_output=True, text=True, check=False
    ).stdout


def _poll(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
