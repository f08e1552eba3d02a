"""How far each reactor has followed the log, and who goes on with it: a lease row with a fencing token.

A reactor does something in the world for what the log tells: it sends a mail, it calls another service. It is
no projection: nothing replays it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import uuid4

import msgspec
import psycopg

from application.cancelling import heed_cancellation
from infrastructure.postgres.complaints import cause

PAGE = 1000
POLL = 1.0
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

BREATH = 0.05
"""Seconds between two looks at the least: on a busy log each finds more for the same price."""

RECORDED_EVERY = 1.0
"""Seconds after which the position is written of events that nothing had to be done for; it costs a flush."""

RENEWED = 2.0
"""Seconds after which the lease is renewed although the log has not grown."""

STANDBY = 1.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0

_ENLIST = "INSERT INTO reactors (name, position) VALUES (%s, 0) ON CONFLICT DO NOTHING"

# A lease that reaches further than any can is one of a clock that was put back since: its owner may be gone.
_ACQUIRE = """
UPDATE reactors
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND (owner = %(owner)s OR lease_until < now()
       OR lease_until > now() + make_interval(secs => 10 * %(seconds)s))
RETURNING position, fencing"""

_ADVANCE = """
UPDATE reactors
SET position = %(to)s, advanced_at = now(), last_error = NULL,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND fencing = %(fencing)s AND position = %(from)s"""

_NOTE = "UPDATE reactors SET last_error = %s WHERE name = %s AND fencing = %s"

_RELEASE = "UPDATE reactors SET owner = NULL, lease_until = 'epoch' WHERE name = %s AND owner = %s"

log = logging.getLogger("usersd.reactor")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class Fenced(Exception):
    """Another process goes on with the reactor now; nothing was written."""


class Stuck(Exception):
    """What keeps a reactor from going on; the text stands in its row, and names the fault and nobody."""


class Lease(msgspec.Struct):
    """What its owner knows: the position, and the token that every write names."""

    name: str
    seconds: int
    position: int
    fencing: int


async def enlist(connection: psycopg.AsyncConnection, name: str) -> None:
    """Have a reactor begin at the start of the log, unless it has begun before."""
    await connection.execute(_ENLIST, (name,))


async def acquire(connection: psycopg.AsyncConnection, name: str, owner: str, seconds: int) -> Lease | None:
    """Take or renew the lease; None while somebody else holds it."""
    cursor = await connection.execute(_ACQUIRE, {"name": name, "owner": owner, "seconds": seconds})
    row = await cursor.fetchone()
    return Lease(name, seconds, *row) if row else None


async def advance(connection: psycopg.AsyncConnection, lease: Lease, to: int) -> None:
    """Move on, or stay, and keep the lease. Raises Fenced.

    It may be part of a transaction: the lease is told of its new position by whoever knows that it holds.
    """
    values = {
        "name": lease.name,
        "fencing": lease.fencing,
        "from": lease.position,
        "to": to,
        "seconds": lease.seconds,
    }
    moved = await connection.execute(_ADVANCE, values)
    if moved.rowcount != 1:
        raise Fenced


async def note(connection: psycopg.AsyncConnection, lease: Lease, fault: str) -> None:
    """Leave word of what keeps the reactor from going on; the next advance takes it away."""
    await connection.execute(_NOTE, (fault, lease.name, lease.fencing))


async def release(connection: psycopg.AsyncConnection, name: str, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, (name, owner))


def is_due(lease: Lease, read: int, since: float) -> bool:
    """Whether to write the position, or that one is still there, so many seconds after the last time."""
    return since >= (RECORDED_EVERY if read > lease.position else RENEWED)


async def news(wake_up: WakeUp, looked: float) -> None:
    """Wait for what follows a look that was begun at a time of the loop's clock."""
    await wake_up.wait(POLL)
    await asyncio.sleep(looked + BREATH - asyncio.get_running_loop().time())


Follow = Callable[[psycopg.AsyncConnection, Lease], Awaitable[None]]
"""Reads the log from the lease's position, and never ends by itself. It may raise Stuck."""


class Leadership:
    """The part of one process in a reactor: it follows the log while it holds the lease, and stands by else.

    A reactor that is no `latecomer` begins at the start of the log. One that is has its row from a migration.
    """

    def __init__(self, name: str, conninfo: str, lease_seconds: int, *, latecomer: bool = False) -> None:
        self._name = name
        self._conninfo = conninfo
        self._lease_seconds = lease_seconds
        self._latecomer = latecomer
        self._owner = str(uuid4())
        self._moved = False
        self._complaint = ""

    async def run(self, follow: Follow) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = FIRST_PAUSE
        while True:
            heed_cancellation()
            self._moved = False
            try:
                await self._session(follow)
            except Fenced:
                log.info("%s: another process goes on with it", self._name)
            except Stuck as fault:
                self._complain(logging.ERROR, f"{fault}; trying again")
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._complain(logging.WARNING, f"no database ({cause(error)}); trying again")
            except Exception as error:
                self._complain(logging.ERROR, f"failed: {type(error).__name__}; trying again", error)
            pause = FIRST_PAUSE if self._moved else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def caught_up(self) -> None:
        """Nothing is in the way any more: the next trouble is a new one, though it be of the same kind."""
        self._complaint = ""

    def _complain(self, level: int, words: str, error: Exception | None = None) -> None:
        # Once per trouble, not once per try.
        if words != self._complaint:
            self._complaint = words
            log.log(level, "%s: %s", self._name, words, exc_info=error)

    async def _session(self, follow: Follow) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            # A process that freezes in the middle of a transaction must not keep the lease's row locked.
            await connection.execute(f"SET idle_in_transaction_session_timeout = '{self._lease_seconds}s'")
            if not self._latecomer:
                await enlist(connection, self._name)
            try:
                lease = await self._lease(connection)
                began = lease.position
                try:
                    await follow(connection, lease)
                except Stuck as fault:
                    await note(connection, lease, str(fault))
                    raise
                finally:
                    self._moved = lease.position > began
            finally:
                with contextlib.suppress(psycopg.Error):
                    await release(connection, self._name, self._owner)

    async def _lease(self, connection: psycopg.AsyncConnection) -> Lease:
        while True:
            heed_cancellation()
            if lease := await acquire(connection, self._name, self._owner, self._lease_seconds):
                return lease
            await asyncio.sleep(STANDBY)
