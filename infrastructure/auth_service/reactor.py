"""Reads the log and tells another service of the users whom it concerns, at least once and in order.

What is told follows from the account as it is now, not from the single event, so that telling it twice, or
late, leads to the same end. It is no projection: nothing replays it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg

from domain.events import EVENTS, Event
from infrastructure.auth_service.position import Fenced, Lease, acquire, advance, note, release

PAGE = 1000
AT_ONCE = 100
POLL = 0.25
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

RECORDED_EVERY = 1.0
"""Seconds after which the position is written although nothing had to be told; each time costs a flush."""

STANDBY = 1.0
LONGEST_PAUSE = 2.0

# An event of a newer version concerns everybody: to tell once too often does no harm.
_PAGE = """
SELECT position, CASE WHEN name <> ALL(%b::text[]) THEN stream_id END
FROM events WHERE position > %b ORDER BY position LIMIT %b"""

log = logging.getLogger("usersd.reactor")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class NotTold(Exception):
    """The other service did not take what it was told; the text names the kind of fault and nobody."""


class Reactor:
    """Follows the log for as long as it holds its lease; any number of them may run.

    `tell` is given the users whom the next events concern, each once. It raises NotTold.
    """

    def __init__(
        self,
        name: str,
        concerns: Collection[type[Event]],
        tell: Callable[[Sequence[UUID]], Awaitable[None]],
        conninfo: str,
        wake_up: WakeUp,
    ) -> None:
        self.name = name
        self._unconcerning = [event.stored_name for event in EVENTS if event not in concerns]
        self._tell = tell
        self._conninfo = conninfo
        self._wake_up = wake_up
        self._owner = str(uuid4())
        self._moved = False
        self._complaint = ""

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and outages, with growing pauses."""
        pause = POLL
        while True:
            self._moved = False
            try:
                await self._session()
            except Fenced:
                log.info("%s: another process goes on with it", self.name)
            except NotTold as fault:
                self._complain(f"{fault}; trying again until it is")
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._complain(f"no database ({type(error).__name__}); trying again")
            except Exception as error:
                self._complain(f"failed: {type(error).__name__}; trying again", error)
            pause = POLL if self._moved else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _complain(self, words: str, error: Exception | None = None) -> None:
        # Once per trouble, not once per try.
        if words != self._complaint:
            self._complaint = words
            log.error("%s: %s", self.name, words, exc_info=error)

    async def _session(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            try:
                lease = await self._lease(connection)
                try:
                    await self._follow(connection, lease)
                except NotTold as fault:
                    await note(connection, lease, str(fault))
                    raise
            finally:
                with contextlib.suppress(psycopg.Error):
                    await release(connection, self.name, self._owner)

    async def _lease(self, connection: psycopg.AsyncConnection) -> Lease:
        while True:
            if lease := await acquire(connection, self.name, self._owner):
                return lease
            await asyncio.sleep(STANDBY)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        recorded, read = loop.time(), lease.position
        while True:
            cursor = await connection.execute(_PAGE, (self._unconcerning, read, PAGE), prepare=True)
            rows: list[Any] = await cursor.fetchall()
            users = list(dict.fromkeys(user_id for _, user_id in rows if user_id is not None))
            read = rows[-1][0] if rows else read
            if users:
                await self._tell_all(connection, lease, users)
            if users or loop.time() - recorded >= RECORDED_EVERY:
                await advance(connection, lease, read)
                self._moved = self._moved or bool(users)
                recorded = loop.time()
            if len(rows) < PAGE:
                self._complaint = ""
                await self._wake_up.wait(POLL)

    async def _tell_all(
        self, connection: psycopg.AsyncConnection, lease: Lease, users: Sequence[UUID]
    ) -> None:
        """Tell of some at a time, each time under a whole lease; who was not taken holds up no other."""
        fault: NotTold | None = None
        for begin in range(0, len(users), AT_ONCE):
            await advance(connection, lease, lease.position)
            try:
                await self._tell(users[begin : begin + AT_ONCE])
            except NotTold as told:
                fault = told
        if fault:
            raise fault
