"""Sessions behind refresh tokens: rotated at each use, worth nothing without their row.

A rotation is two statements and no transaction around them: a read and an update, each shared by concurrent
refreshes; the update counts only while the row still names the token shown. Whoever comes too late reads
again, and is then within the grace. A crash leaves either the token valid, or used up within its grace.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.ports import Credential, LivingSession, SessionGrant
from application.security import SecurityKind, Session
from domain.errors import InvalidToken, Unavailable, WrongCredentials
from domain.values import Role
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.reads import PointReads
from infrastructure.tokens.refresh import RefreshClaims, RefreshTokens, digest
from infrastructure.tokens.rotating import Rotation, Rotations
from infrastructure.tokens.rotation import Again, Chain, Rotate, Used, shown

MOST_LISTED = 1_000

ACCESS_LIFE = timedelta(minutes=15)
SPARE = timedelta(minutes=1)
"""For how much longer than an access token can live it is remembered that its session was ended."""

AGAIN = 0.002
"""Seconds after which a session that somebody else is at work on is looked at again."""

# The row is locked against a change of the account that is under way: a session is either there for that
# change to end, or not opened at all.
_OPEN = """
INSERT INTO sessions (id, user_id, epoch, token_hash, nonce, description, user_agent, opened_from, used_from,
                      created_at, rotated_at, expires_at)
SELECT %(id)s, user_id, epoch, %(hash)s, %(nonce)s, %(description)s, %(user_agent)s, %(network)s, %(network)s,
       %(at)s, %(at)s, %(expires)s
FROM credentials WHERE user_id = %(user)s AND epoch = %(epoch)s AND status = 'enabled' FOR SHARE"""

_READ = """
SELECT s.id, s.user_id, s.epoch, s.token_hash, s.used_hashes, s.used_at, s.until, s.nonce, s.expires_at
FROM sessions s JOIN credentials c USING (user_id)
WHERE s.id = ANY(%b::uuid[]) AND s.epoch = c.epoch AND c.status = 'enabled'"""

_LIST = """
SELECT s.id, s.created_at, s.rotated_at AS last_used_at, s.description, s.user_agent, s.opened_from,
       s.used_from AS network
FROM sessions s JOIN credentials c USING (user_id, epoch)
WHERE s.user_id = %s AND s.expires_at > %s AND c.status = 'enabled'
ORDER BY s.rotated_at DESC, s.id LIMIT %s"""

_END = """
SELECT end_sessions(%(user)s, %(session)s, %(keep)s, %(by)s, %(at)s, %(until)s, %(kind)s, %(network)s)"""

log = logging.getLogger("usersd.sessions")


class _Row(msgspec.Struct, frozen=True):
    """A living session as it is stored."""

    user_id: UUID
    epoch: int
    chain: Chain
    nonce: bytes
    expires_at: datetime


class PostgresSessions:
    """Implements the port Sessions. `access_life` is how long an access token of a session lives."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        keyring: Keyring,
        *,
        life: timedelta,
        issuer: str,
        access_life: timedelta = ACCESS_LIFE,
    ) -> None:
        self._pool = pool
        self._tokens = RefreshTokens(keyring, issuer=issuer)
        self._life = life
        self._access_life = access_life
        self.when_ended: Callable[[], None] = lambda: None
        self._rotations = Rotations(str(pool.conninfo))
        self._rows: PointReads[UUID, _Row] = PointReads(str(pool.conninfo), _READ, _by_id)

    async def open(
        self,
        credential: Credential,
        description: str,
        at: datetime,
        *,
        user_agent: str = "",
        network: str = "",
    ) -> tuple[SessionGrant, str]:
        claims = RefreshClaims(
            session_id=uuid4(),
            user_id=credential.user_id,
            role=2 if credential.role is Role.ADMIN else 1,
            verified=credential.verified,
        )
        token = self._tokens.first(claims, at, at + self._life)
        row = {
            "id": claims.session_id,
            "user": credential.user_id,
            "epoch": credential.epoch,
            "hash": digest(token),
            "nonce": os.urandom(16),
            "description": description,
            "user_agent": user_agent,
            "network": network,
            "at": at,
            "expires": at + self._life,
        }
        async with self._connection() as connection:
            opened = await connection.execute(_OPEN, row)
        if opened.rowcount == 0:
            # The account was shut, or its secret changed, while this login was on its way.
            raise WrongCredentials
        return _grant(claims, credential.epoch), token

    async def refresh(self, token: str, at: datetime, *, network: str = "") -> tuple[SessionGrant, str]:
        claims = self._tokens.check(token)
        while (row := await self._rows.get(claims.session_id)) is not None and row.expires_at > at:
            successor = partial(self._tokens.successor, claims, row.nonce)
            outcome = shown(token, row.chain, at, self._life, successor, digest)
            if isinstance(outcome, Again):
                return _grant(claims, row.epoch), outcome.token
            if not isinstance(outcome, Rotate):
                await self._stolen(claims, at, network)
                break
            epoch = await self._rotated(claims.session_id, outcome, network)
            if epoch is not None:
                return _grant(claims, epoch), outcome.token
            # Somebody was faster with the same token, or is at work on the session at this moment.
            await asyncio.sleep(AGAIN)
        raise InvalidToken

    def made_here(self, token: str) -> bool:
        try:
            self._tokens.check(token)
        except InvalidToken:
            return False
        return True

    async def living(self, token: str, at: datetime) -> LivingSession | None:
        try:
            claims = self._tokens.check(token)
        except InvalidToken:
            return None
        row = await self._rows.get(claims.session_id)
        if row is None or row.expires_at <= at:
            return None
        successor = partial(self._tokens.successor, claims, row.nonce)
        if not isinstance(shown(token, row.chain, at, self._life, successor, digest), (Again, Rotate)):
            return None
        return LivingSession(user_id=row.user_id, session_id=claims.session_id, expires_at=row.expires_at)

    async def of(self, user_id: UUID, at: datetime) -> Sequence[Session]:
        async with self._connection() as connection:
            cursor = await connection.execute(_LIST, (user_id, at, MOST_LISTED))
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            return [Session(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]

    async def revoke(
        self, user_id: UUID, session_id: UUID, at: datetime, *, by: UUID | None = None, network: str = ""
    ) -> None:
        await self._end(user_id, "session_revoked", at, network, session=session_id, by=by)

    async def revoke_all(
        self,
        user_id: UUID,
        at: datetime,
        *,
        keep: UUID | None = None,
        by: UUID | None = None,
        network: str = "",
    ) -> None:
        await self._end(user_id, "all_sessions_revoked", at, network, keep=keep, by=by)

    async def close(self) -> None:
        await self._rows.close()
        await self._rotations.close()

    async def _rotated(self, session_id: UUID, made: Rotate, network: str) -> int | None:
        """The epoch under which the session goes on, or None where its row is not as it was read."""
        step = made.chain.used[-1]
        rotation = Rotation(
            session_id=session_id,
            shown=step.digest,
            made=made.chain.current,
            kept=len(made.chain.used),
            at=step.at,
            until=step.until,
            network=network,
        )
        return await self._rotations.make(rotation)

    async def _stolen(self, claims: RefreshClaims, at: datetime, network: str) -> None:
        log.warning(
            "a used-up refresh token was shown again: one of the two who hold it has stolen it; "
            "its session %s is ended, and whoever is honest logs in again",
            claims.session_id,
        )
        await self._end(claims.user_id, "refresh_reused", at, network, session=claims.session_id)

    async def _end(
        self,
        user_id: UUID,
        kind: SecurityKind,
        at: datetime,
        network: str,
        *,
        session: UUID | None = None,
        keep: UUID | None = None,
        by: UUID | None = None,
    ) -> None:
        values = {
            "user": user_id,
            "session": session,
            "keep": keep,
            "by": by,
            "at": at,
            "until": at + self._access_life + SPARE,
            "kind": kind,
            "network": network,
        }
        async with self._connection() as connection:
            await connection.execute(_END, values)
        self.when_ended()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None


def _by_id(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, _Row]]:
    for session_id, user_id, epoch, current, digests, times, until, nonce, expires_at in rows:
        used = tuple(Used(bytes(d), at, end) for d, at, end in zip(digests, times, until, strict=True))
        yield session_id, _Row(user_id, epoch, Chain(bytes(current), used), bytes(nonce), expires_at)


def _grant(claims: RefreshClaims, epoch: int) -> SessionGrant:
    return SessionGrant(user_id=claims.user_id, session_id=claims.session_id, epoch=epoch)
