"""Has a rebuild work behind others on their machine: its processes, and the database's where that is at hand.

On Linux a session may be a scheduling group of its own (sched(7), autogroups): then its niceness counts
within it alone, and what it leaves to other sessions is said of the group.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

NICENESS = 10
"""Of our processes: about a tenth of a core that others want, so that an end is reached all the same."""

IN_THE_DATABASE = 5
"""The niceness of the database's: about a quarter. A commit may wait for a lock that one of these holds, and
the longer that one is kept from a core, the longer the commit waits."""

_TRIES = 5
_AGAIN = 0.15
"""Seconds after which the kernel hears of another group; ten a second are what it takes."""

_PROC = Path("/proc")
_CREDENTIALS = struct.Struct("3i")


def step_back() -> None:
    """Have this process, for good, work behind others."""
    os.nice(NICENESS)
    for _ in range(_TRIES):
        if _behind_other_sessions(os.getpid(), NICENESS):
            return
        time.sleep(_AGAIN)


@asynccontextmanager
async def working(conninfo: str, *, gentle: bool = True) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection for what nobody waits for; `gentle` has the database do it behind others."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        if gentle:
            await serve_behind(connection)
        yield connection


async def serve_behind(connection: psycopg.AsyncConnection) -> bool:
    """Have the database work for this connection, for as long as it is open, behind others.

    True where that could be done: the server is a process of this machine that listens on a unix socket,
    and of our own account or we are root. Nothing is done to a process unless the kernel names its parent
    as the one who listens there, and both run the same program: where another listened for a pooler, as
    systemd does, the number may be that of a process of another machine.
    """
    listening = _listening(connection.fileno())
    if listening is None:
        return False
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    if row is None or _parent(row[0]) != listening or not _same_program(row[0], listening):
        return False
    try:
        niceness = max(IN_THE_DATABASE, os.getpriority(os.PRIO_PROCESS, row[0]))
        os.setpriority(os.PRIO_PROCESS, row[0], niceness)
    except OSError:
        return False
    for _ in range(_TRIES):
        if _behind_other_sessions(row[0], IN_THE_DATABASE):
            break
        await asyncio.sleep(_AGAIN)
    return True


def _listening(descriptor: int) -> int | None:
    """The process that listens at the other end of a unix socket, where this process can see it."""
    if sys.platform != "linux":
        return None
    with socket.socket(fileno=os.dup(descriptor)) as end:
        if end.family != socket.AF_UNIX:
            return None
        told = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(told)[0]
    return pid or None


def _parent(pid: int) -> int | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name may hold spaces and brackets; what follows its last bracket is regular.
    return int(text[text.rindex(")") + 2 :].split()[1])


def _same_program(one: int, other: int) -> bool:
    try:
        return os.path.samefile(_PROC / str(one) / "exe", _PROC / str(other) / "exe")
    except OSError:
        return False


def _behind_other_sessions(pid: int, niceness: int) -> bool:
    """False where the kernel wants to be asked again; only a session that is the process's own is touched."""
    if sys.platform != "linux":
        return True
    try:
        if os.getsid(pid) == pid:
            (_PROC / str(pid) / "autogroup").write_text(str(niceness))
    except BlockingIOError:
        return False
    except OSError:
        # There are no such groups here, or it is not ours to say.
        pass
    return True
