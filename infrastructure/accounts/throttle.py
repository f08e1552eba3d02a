"""Counts attempts in PostgreSQL, so that every replica knows of every failure.

Whoever has not failed lately costs one read, shared with others that are under way, and no write. When the
free attempts are used up, each further one is claimed before it is made: of many at once, one goes ahead.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.limits import Limit
from application.ports import Throttled
from domain.errors import TooManyAttempts, Unavailable
from domain.throttling import ALLOWANCES, LONGEST_PAUSE, Scope, pause_after
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.reads import PointReads

WELCOME = timedelta(days=30)
"""For how long a network from which an account has logged in is held up by nothing but its own failures."""

BEYOND = 2 * LONGEST_PAUSE
"""A pause that ends later than this was given by a clock that was put back since, and holds up nobody."""

_FIND = """
SELECT digest, attempts, waits_until, forgotten_at, welcome_until FROM throttle
WHERE digest = ANY(%b::bytea[])"""


def _unflushed(statement: LiteralString) -> LiteralString:
    # Nothing here is worth waiting for a disk; said within the statement it costs no transaction around it.
    return f"WITH no_flush AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)) {statement}"


_CLAIM = _unflushed("""
UPDATE throttle SET waits_until = %(until)s FROM no_flush
WHERE digest = %(digest)s AND attempts = %(attempts)s
AND (coalesce(waits_until, %(at)s) <= %(at)s OR waits_until > %(beyond)s)""")

_COUNT = _unflushed("""
INSERT INTO throttle AS t
SELECT %(digest)s, %(act)s, %(scope)s, %(user)s, %(network)s, 1, NULL, %(forgotten)s, NULL FROM no_flush
ON CONFLICT (digest) DO UPDATE
SET attempts = CASE WHEN t.forgotten_at <= %(at)s THEN 1 ELSE t.attempts + 1 END,
    forgotten_at = excluded.forgotten_at
RETURNING attempts""")

_WAIT = _unflushed("""
UPDATE throttle SET waits_until = greatest(waits_until, %s) FROM no_flush
WHERE digest = %s AND attempts >= %s""")
"""Unless somebody has succeeded, or was let off, since the attempt was counted."""

_WELCOME = _unflushed("""
INSERT INTO throttle AS t
SELECT %(digest)s, %(act)s, %(scope)s, %(user)s, %(network)s, 0, NULL, %(at)s, %(welcome)s FROM no_flush
ON CONFLICT (digest) DO UPDATE
SET attempts = 0, waits_until = NULL, welcome_until = excluded.welcome_until""")

_LIFT = _unflushed("""
UPDATE throttle SET attempts = 0, waits_until = NULL FROM no_flush
WHERE user_id = %s AND (attempts > 0 OR waits_until IS NOT NULL)""")

_OF = """
SELECT act, scope, network, attempts, waits_until FROM throttle
WHERE user_id = %s AND forgotten_at > %s AND attempts > 0 ORDER BY act, scope, network"""

_SWEEP = _unflushed("""
DELETE FROM throttle USING no_flush WHERE digest IN (
    SELECT digest FROM throttle WHERE greatest(forgotten_at, welcome_until) <= %s
    ORDER BY greatest(forgotten_at, welcome_until) LIMIT %s FOR UPDATE SKIP LOCKED)""")


class _Count(msgspec.Struct, frozen=True):
    attempts: int
    waits_until: datetime | None
    forgotten_at: datetime
    welcome_until: datetime | None

    def welcomes(self, at: datetime) -> bool:
        return self.welcome_until is not None and self.welcome_until > at


class PostgresThrottle:
    """Implements the port Throttle."""

    def __init__(
        self, conninfo: str, keyring: Keyring, pool: AsyncConnectionPool, *, enabled: bool = True
    ) -> None:
        self._enabled = enabled
        self._keyring = keyring
        self._pool = pool
        self._counts: PointReads[bytes, _Count] = PointReads(conninfo, _FIND, _by_digest)

    async def admit(self, limits: Sequence[Limit], at: datetime) -> None:
        if not self._enabled:
            return
        digests = [self._digest(limit) for limit in limits]
        counts = await asyncio.gather(*map(self._counts.get, digests))
        free = _free_of_others(limits, counts, at)
        for limit, digest, count in zip(limits, digests, counts, strict=True):
            if limit.scope in free:
                continue
            if count is None or count.forgotten_at <= at:
                continue
            if count.waits_until is not None and at < count.waits_until <= at + BEYOND:
                raise _too_many(count.waits_until - at)
            if pause := pause_after(count.attempts, ALLOWANCES[limit.act, limit.scope].free):
                await self._claim(digest, count.attempts, at, pause)

    async def count(self, limits: Sequence[Limit], at: datetime) -> None:
        if not self._enabled:
            return
        async with self._connection() as connection:
            for limit in limits:
                allowance = ALLOWANCES[limit.act, limit.scope]
                row = self._row(limit) | {"at": at, "forgotten": at + allowance.forgotten_after}
                found = await (await connection.execute(_COUNT, row)).fetchone()
                assert found is not None
                if pause := pause_after(found[0], allowance.free):
                    await connection.execute(_WAIT, (at + pause, row["digest"], found[0]))

    async def succeeded(self, limits: Sequence[Limit], at: datetime) -> None:
        for limit in limits if self._enabled else ():
            if limit.scope != "account from a network":
                continue
            count = await self._counts.get(self._digest(limit))
            # Written again only when half of the time is over: most logins come from where the last one did.
            if count is None or count.attempts or not count.welcomes(at + WELCOME / 2):
                async with self._connection() as connection:
                    await connection.execute(_WELCOME, self._row(limit) | {"at": at, "welcome": at + WELCOME})

    async def of(self, user_id: UUID, at: datetime) -> list[Throttled]:
        async with self._connection() as connection:
            rows = await (await connection.execute(_OF, (user_id, at))).fetchall()
        return [
            Throttled(act=act, scope=scope, network=network, attempts=attempts, waits_until=until)
            for act, scope, network, attempts, until in rows
        ]

    async def lift(self, user_id: UUID) -> int:
        async with self._connection() as connection:
            return (await connection.execute(_LIFT, (user_id,))).rowcount

    async def sweep(self, at: datetime, limit: int) -> int:
        """Delete up to so many rows that say nothing any more; how many there were."""
        async with self._connection() as connection:
            return (await connection.execute(_SWEEP, (at, limit))).rowcount

    async def close(self) -> None:
        await self._counts.close()

    async def _claim(self, digest: bytes, attempts: int, at: datetime, pause: timedelta) -> None:
        row = {"digest": digest, "attempts": attempts, "at": at, "until": at + pause, "beyond": at + BEYOND}
        async with self._connection() as connection:
            if (await connection.execute(_CLAIM, row)).rowcount == 0:
                raise _too_many(pause)

    def _row(self, limit: Limit) -> dict[str, Any]:
        return {
            "digest": self._digest(limit),
            "act": limit.act,
            "scope": limit.scope,
            "user": limit.user_id,
            "network": limit.network,
        }

    def _digest(self, limit: Limit) -> bytes:
        return self._keyring.digest(f"throttle {limit.act} {limit.scope}", limit.subject)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None


def _free_of_others(
    limits: Sequence[Limit], counts: Sequence[_Count | None], at: datetime
) -> frozenset[Scope]:
    """Of which limits an attempt is free, so that nobody is locked out by what others do.

    A network from which the account has logged in is held up by nothing but its own failures, and one from
    which nobody has failed at this account yet has a first try, whatever came from elsewhere.
    """
    for limit, count in zip(limits, counts, strict=True):
        if limit.scope == "account from a network":
            if count is not None and count.welcomes(at):
                return frozenset({"account", "network"})
            if count is None or count.forgotten_at <= at:
                return frozenset({"account"})
    return frozenset()


def _too_many(pause: timedelta) -> TooManyAttempts:
    return TooManyAttempts(retry_after=math.ceil(pause.total_seconds()))


def _by_digest(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[bytes, _Count]]:
    for digest, attempts, waits_until, forgotten_at, welcome_until in rows:
        yield bytes(digest), _Count(attempts, waits_until, forgotten_at, welcome_until)
