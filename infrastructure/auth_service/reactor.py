"""Reads the log and tells another service of the users whom it concerns, at least once and in order.

What is told follows from the account as it is now, not from the single event, so that telling it twice, or
late, leads to the same end. It is no projection: nothing replays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg

from application.cancelling import heed_cancellation
from domain.events import EVENTS, Event
from infrastructure.postgres.reactors import (
    PAGE,
    Leadership,
    Lease,
    Stuck,
    WakeUp,
    advance,
    is_due,
    news,
)

AT_ONCE = 100
LEASE_SECONDS = 15
"""Longer than any call to another service may take: who believes to own the lease while calling, does."""

# An event of a newer version concerns everybody: to tell once too often does no harm.
_PAGE = """
SELECT position, CASE WHEN name <> ALL(%b::text[]) THEN stream_id END
FROM events WHERE position > %b ORDER BY position LIMIT %b"""


class NotTold(Stuck):
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
        self._leadership = Leadership(name, conninfo, LEASE_SECONDS)
        self._wake_up = wake_up

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and outages, with growing pauses."""
        await self._leadership.run(self._follow)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        recorded, read = loop.time(), lease.position
        while True:
            heed_cancellation()
            looked = loop.time()
            cursor = await connection.execute(_PAGE, (self._unconcerning, read, PAGE), prepare=True)
            rows: list[Any] = await cursor.fetchall()
            users = list(dict.fromkeys(user_id for _, user_id in rows if user_id is not None))
            read = rows[-1][0] if rows else read
            if users:
                await self._tell_all(connection, lease, users)
            if users or is_due(lease, read, loop.time() - recorded):
                await advance(connection, lease, read)
                lease.position = read
                recorded = loop.time()
            if len(rows) < PAGE:
                self._leadership.caught_up()
                await news(self._wake_up, looked)

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
