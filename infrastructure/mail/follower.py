"""Reads the log and puts a row there for each mail that follows from it, in order and exactly once.

It is no projection: nothing replays it, and a database that is older than mails begins where its log ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.cancelling import heed_cancellation
from application.following import FOLLOWED
from domain.events import EVENTS
from infrastructure.mail.kinds import FOLLOW_FROM, MAILS, MailKind
from infrastructure.mail.rows import NewMail, enqueue
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
from infrastructure.tokens.links import LinkTokens, hash_of

NAME = "mails"
LEASE_SECONDS = 5

_KNOWN = frozenset(event.stored_name for event in EVENTS)

_PAGE = """
SELECT position, stream_id, name, CASE WHEN name = ANY(%b::text[]) THEN state END
FROM events WHERE position > %b ORDER BY position LIMIT %b"""


class _Stamp(msgspec.Struct, frozen=True):
    """What of an envelope a mail follows from; what is personal stays sealed."""

    id: UUID
    at: datetime
    correlation: UUID


_stamp = msgspec.json.Decoder(_Stamp).decode


class Held(Stuck):
    """An event of a newer version, from which mails may follow that this version does not know."""


class Follower:
    """Follows the log for as long as it holds the lease; any number of them may run."""

    def __init__(
        self, tokens: LinkTokens, conninfo: str, wake_up: WakeUp, enqueued: Callable[[], None]
    ) -> None:
        self._tokens = tokens
        self._leadership = Leadership(NAME, conninfo, LEASE_SECONDS, latecomer=True)
        self._wake_up = wake_up
        self._enqueued = enqueued
        self._read = 0

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        await self._leadership.run(self._follow)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        recorded = loop.time()
        self._read = lease.position
        while True:
            heed_cancellation()
            looked = loop.time()
            found, full = await self._page(connection)
            if found or is_due(lease, self._read, loop.time() - recorded):
                await self._record(connection, lease, found)
                recorded = loop.time()
            if not full:
                self._leadership.caught_up()
                await news(self._wake_up, looked)

    async def _page(self, connection: psycopg.AsyncConnection) -> tuple[list[NewMail], bool]:
        """The mails that follow from what comes next, and whether more is likely to be there. Raises Held."""
        cursor = await connection.execute(_PAGE, (list(FOLLOW_FROM), self._read, PAGE), prepare=True)
        rows: list[Any] = await cursor.fetchall()
        found: list[NewMail] = []
        for position, user_id, name, state in rows:
            if name not in _KNOWN:
                if found:
                    break
                raise Held(f"held at position {position} ({name}): this version does not know the event")
            if state is not None:
                found += self._mails(position, user_id, name, state)
            self._read = position
        return found, len(rows) == PAGE

    def _mails(self, position: int, user_id: UUID, name: str, state: bytes) -> list[NewMail]:
        stamp = _stamp(state)
        if stamp.correlation == FOLLOWED:
            # It was done in the service that an account is still moving from, and told there.
            return []

        def hash_for(kind: MailKind) -> bytes | None:
            link = MAILS[kind].link
            return hash_of(self._tokens.token(link, stamp.id)) if link else None

        return [
            NewMail(
                user_id=user_id,
                kind=kind,
                event_id=stamp.id,
                position=position,
                at=stamp.at,
                token_hash=hash_for(kind),
            )
            for kind in FOLLOW_FROM[name]
        ]

    async def _record(self, connection: psycopg.AsyncConnection, lease: Lease, found: list[NewMail]) -> None:
        if not found:
            await advance(connection, lease, self._read)
            lease.position = self._read
            return
        async with connection.transaction():
            await advance(connection, lease, self._read)
            await enqueue(connection, found)
        lease.position = self._read
        self._enqueued()
