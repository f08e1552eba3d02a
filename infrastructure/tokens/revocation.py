"""Tells which access tokens have lost their worth, from memory that the database feeds all the time.

The database is asked about a token when it is first seen, and again only where the memory is not sure.
The memory is believed for as long as it was confirmed within the last second. Each confirmation is counted
from before its question was sent, so whatever had been committed a second before a request is known to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from application.cancelling import heed_cancellation
from application.outages import Outage
from application.ports import AccessClaims, Credential, Rights
from domain.errors import InvalidToken, Unavailable
from infrastructure.accounts.lookup import PostgresAccounts, credential
from infrastructure.postgres.complaints import cause
from infrastructure.postgres.notifications import Signal
from infrastructure.postgres.reads import PointReads
from infrastructure.tokens.known import MAX_SESSIONS, MAX_USERS, SKEW, Known, Said, rights_of

BELIEVED_FOR = 1.0
"""Seconds without news after which the database is asked about each token."""

ASKS_EVERY = 0.5
AT_REST, ASKS_AT_REST = 10.0, 2.0
"""Seconds without a token after which the memory is confirmed less often, and how often. Whoever shows one
then has the database asked about it, and the memory confirmed."""

BREATH = 0.05
"""Seconds between two questions at the least: a busy log notifies thousands of times a second."""

MAX_TOKENS = 50_000

PATIENCE = 2.0
"""Seconds that an answer of the database may take."""

TIDIES_EVERY = 10.0
PAGE = 1000

ALIVE: LiteralString = "SELECT pg_advisory_lock_shared(7310580243119873)"
"""Held by every running service for as long as its connection lasts; see infrastructure/keys/rewrap.py."""

_HEAD: LiteralString = "SELECT coalesce(max(position), 0) FROM events"

# One statement sees one moment: no change at or before the head is missing from what stands beside it. The
# positions are gap-free and appends commit in their order, so nothing lower can appear later.
_NEWS: LiteralString = f"""
SELECT head.position, c.* FROM (SELECT coalesce(max(position), 0) AS position FROM events) AS head
LEFT JOIN LATERAL (
    SELECT changed, user_id, epoch, status, role, verified, carried, carried_from
    FROM credentials WHERE changed > %b ORDER BY changed LIMIT {PAGE}
) AS c ON true"""  # noqa: S608

# Numbers become visible in their order: whoever writes one holds a lock until its commit.
_ENDED: LiteralString = f"""
SELECT number, session_id, extract(epoch FROM expires_at)::float8 FROM revoked_sessions
WHERE number > %b ORDER BY number LIMIT {PAGE}"""  # noqa: S608

_IS_ENDED = "SELECT session_id, true FROM revoked_sessions WHERE session_id = ANY(%b::uuid[])"

log = logging.getLogger("usersd.revocation")


def elapsed() -> float:
    """Seconds on a clock that also counts while the machine sleeps, where there is such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class PostgresRevocations:
    """Implements the port Revocations."""

    def __init__(
        self,
        conninfo: str,
        accounts: PostgresAccounts,
        signals: Iterable[Signal],
        *,
        answers: bool = True,
        max_users: int = MAX_USERS,
        max_sessions: int = MAX_SESSIONS,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self._conninfo = conninfo
        self._accounts = accounts
        self._signals = list(signals)
        self._limits = {"max_users": max_users, "max_sessions": max_sessions}
        self._clock = clock
        self._known = Known(**self._limits)
        self._said: dict[AccessClaims, Said] = {}
        self._own: dict[UUID, int] = {}
        self._last_number = 0
        self._confirmed = -BELIEVED_FOR
        self._doubted = 0.0
        self._checked = clock()
        self._tidied = 0.0
        self._news = asyncio.Event()
        self._first = asyncio.Event()
        self._ended = PointReads(conninfo, _IS_ENDED, _sessions)
        self._task: asyncio.Task[None] | None = None
        # A process that answers nobody checks no tokens: it holds ALIVE, and an outage means nothing to it.
        level = logging.WARNING if answers else logging.DEBUG
        about = "no news of revoked tokens, so PostgreSQL is asked about each token"
        self._outage = Outage(log, about, level=level)

    async def __aenter__(self) -> PostgresRevocations:
        for signal in self._signals:
            signal.listeners.append(self._heard)
        self._task = asyncio.create_task(self._run(), name="revocation")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        for signal in self._signals:
            signal.listeners.remove(self._heard)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._ended.close()

    @property
    def is_current(self) -> bool:
        """Whether the memory may be believed at this moment."""
        return self._clock() - self._confirmed <= BELIEVED_FOR

    async def check(self, claims: AccessClaims) -> Rights:
        self._checked = self._clock()
        if not self.is_current:
            self._news.set()
        elif self._confirmed > self._doubted and self._own.get(claims.user_id, 0) <= self._known.reached:
            rights = self._known.verdict(claims, self._said.get(claims), time.time())
            if rights is not None:
                return rights
        return await self._ask(claims)

    def changed_here(self, user_id: UUID, position: int) -> None:
        """This process has changed an account: until the news of it are in, the database is asked."""
        self._own[user_id] = position

    def forget(self) -> None:
        """Ask the database about every token anew."""
        self._said = {}

    def doubt(self) -> None:
        """This process has ended sessions: until the news of them are in, the database is asked."""
        self._doubted = self._clock()
        self._news.set()

    async def _ask(self, claims: AccessClaims) -> Rights:
        known = self._known
        try:
            async with asyncio.timeout(PATIENCE):
                account, ended = await asyncio.gather(
                    self._accounts.of(claims.user_id), self._ended.get(claims.session_id)
                )
        except TimeoutError:
            raise Unavailable from None
        if ended:
            raise InvalidToken
        rights = rights_of(account, claims)
        # What another server than the present one has said is not kept.
        if account and known is self._known:
            if len(self._said) >= MAX_TOKENS:
                self._said.pop(next(iter(self._said)))
            self._said[claims] = Said(rights, account.as_of)
        return rights

    def _heard(self, _: str) -> None:
        self._news.set()

    async def _run(self) -> None:
        while True:
            heed_cancellation()
            try:
                async with (
                    asyncio.timeout(5 * PATIENCE) as opening,
                    await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection,
                ):
                    # Another connection may lead to another server, which knows less or something else.
                    known = await self._begin(connection)
                    opening.reschedule(None)
                    await self._follow(connection, known)
            except (psycopg.Error, TimeoutError) as error:
                self._outage.goes_on(cause(error))
                await asyncio.sleep(ASKS_EVERY)

    async def _begin(self, connection: psycopg.AsyncConnection) -> Known:
        """A memory that begins with the present end of the log: every token is asked about anew."""
        await connection.execute("SET enable_seqscan = off")
        await connection.execute(ALIVE)
        row = await (await connection.execute(_HEAD)).fetchone()
        known = Known(**self._limits)
        known.reached = known.floor = row[0] if row else 0
        self._last_number = 0
        return known

    async def _follow(self, connection: psycopg.AsyncConnection, known: Known) -> None:
        while True:
            heed_cancellation()
            self._news.clear()
            asked = self._clock()
            async with asyncio.timeout(PATIENCE):
                await self._catch_up(connection, known)
            if known is not self._known:
                # An ended session never comes back: what this process knew of them goes on holding.
                for session_id, until in self._known.sessions.items():
                    known.ended(session_id, until)
                self._known, self._said = known, {}
            self._own = {user: position for user, position in self._own.items() if position > known.reached}
            self._confirmed = asked
            self._first.set()
            self._outage.is_over()
            self._tidy(asked)
            await asyncio.sleep(BREATH)
            with contextlib.suppress(TimeoutError):
                rests = self._clock() - self._checked > AT_REST
                async with asyncio.timeout((ASKS_AT_REST if rests else ASKS_EVERY) - BREATH):
                    await self._news.wait()

    async def _catch_up(self, connection: psycopg.AsyncConnection, known: Known) -> None:
        more = True
        while more:
            cursor = await connection.execute(_NEWS, (known.reached,), prepare=True, binary=True)
            rows = await cursor.fetchall()
            if rows[0][0] < known.reached:
                raise psycopg.OperationalError("the log has become shorter: this is another database")
            more = len(rows) == PAGE
            for row in rows:
                if row[1] is not None:
                    known.changed(row[1], _account(row[1:]))
            known.reached = rows[-1][1] if more else rows[0][0]
        more = True
        while more:
            cursor = await connection.execute(_ENDED, (self._last_number,), prepare=True, binary=True)
            rows = await cursor.fetchall()
            more = len(rows) == PAGE
            for number, session_id, until in rows:
                if until + SKEW > time.time():
                    known.ended(session_id, until)
                self._last_number = number

    def _tidy(self, now: float) -> None:
        if now - self._tidied > TIDIES_EVERY:
            self._tidied = now
            self._known.forget_sessions(time.time())


def _account(row: Sequence[Any]) -> Credential:
    changed, user_id, *more = row
    # What is kept of it is asked for with every request, and the hash only at a login.
    return credential((user_id, None, *more, changed))


def _sessions(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, bool]]:
    return ((row[0], row[1]) for row in rows)
