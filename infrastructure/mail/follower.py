"""Reads the log and puts a row there for each mail that follows from it, in order and exactly once.

It is no projection: nothing replays it, and a database that is older than mails begins where its log ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec
import psycopg

from domain.events import EVENTS
from infrastructure.mail.kinds import FOLLOW_FROM, MAILS, MailKind
from infrastructure.mail.position import LEASE_SECONDS, Fenced, Lease, acquire, advance, note, release
from infrastructure.mail.rows import NewMail, enqueue
from infrastructure.tokens.links import LinkTokens, hash_of

PAGE = 1000
POLL = 0.25
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

RECORDED_EVERY = 1.0
"""Seconds after which the position is written although no mail follows; each time costs a flush."""

STANDBY = 1.0
LONGEST_PAUSE = 5.0

_KNOWN = frozenset(event.stored_name for event in EVENTS)

_PAGE = """
SELECT position, stream_id, name, CASE WHEN name = ANY(%b::text[]) THEN state END
FROM events WHERE position > %b ORDER BY position LIMIT %b"""

log = logging.getLogger("usersd.mail")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class _Stamp(msgspec.Struct, frozen=True):
    """What of an envelope a mail follows from; what is personal stays sealed."""

    id: UUID
    at: datetime


_stamp = msgspec.json.Decoder(_Stamp).decode


class Held(Exception):
    """An event of a newer version, from which mails may follow that this version does not know."""


class Follower:
    """Follows the log for as long as it holds the lease; any number of them may run."""

    def __init__(
        self, tokens: LinkTokens, conninfo: str, wake_up: WakeUp, enqueued: Callable[[], None]
    ) -> None:
        self._tokens = tokens
        self._conninfo = conninfo
        self._wake_up = wake_up
        self._enqueued = enqueued
        self._owner = str(uuid4())
        self._read = 0
        self._complaint = ""

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = POLL
        while True:
            before = self._read
            try:
                await self._session()
            except Fenced:
                log.info("another process reads the log for mails now")
            except Held as held:
                self._complain(logging.ERROR, str(held))
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._complain(logging.WARNING, f"no database ({type(error).__name__}); trying again")
            except Exception as error:
                self._complain(logging.ERROR, f"failed: {type(error).__name__}; trying again", error)
            pause = POLL if self._read > before else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _complain(self, level: int, words: str, error: Exception | None = None) -> None:
        # Once per trouble, not once per try.
        if words != self._complaint:
            self._complaint = words
            log.log(level, "mails: %s", words, exc_info=error)

    async def _session(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            # A process that freezes in the middle of a transaction must not keep the lease's row locked.
            await connection.execute(f"SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'")
            try:
                lease = await self._lease(connection)
                self._read = lease.position
                try:
                    await self._follow(connection, lease)
                except Held as held:
                    await note(connection, lease, str(held))
                    raise
            finally:
                with contextlib.suppress(psycopg.Error):
                    await release(connection, self._owner)

    async def _lease(self, connection: psycopg.AsyncConnection) -> Lease:
        while True:
            if lease := await acquire(connection, self._owner):
                return lease
            await asyncio.sleep(STANDBY)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        recorded = loop.time()
        while True:
            found, full = await self._page(connection)
            if found or loop.time() - recorded >= RECORDED_EVERY:
                await self._record(connection, lease, found)
                recorded = loop.time()
            if not full:
                self._complaint = ""
                await self._wake_up.wait(POLL)

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
        async with connection.transaction():
            await advance(connection, lease, self._read)
            if found:
                await enqueue(connection, found)
        lease.position = self._read
        if found:
            self._enqueued()
