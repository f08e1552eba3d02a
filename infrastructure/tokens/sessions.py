"""Sessions behind refresh tokens: rotated at each use, worth nothing without their row.

A refresh token is a JWT in form. Its successor is computed from the token shown and the row's nonce, so
the losers of an honest race get the very token that the winner got, and nothing usable is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.ports import Credential, SessionGrant
from domain.errors import InvalidToken, Unavailable, WrongCredentials
from domain.values import Role
from infrastructure.event_store.keyring import Keyring
from infrastructure.tokens.local import MAX_TOKEN_CHARACTERS, REFRESH

GRACE = timedelta(seconds=30)
"""For how long after a rotation the used-up token still yields its successor."""

_ALGORITHM = "HS512"

_OPEN = """
INSERT INTO sessions (id, user_id, epoch, token_hash, nonce, description, created_at, rotated_at, expires_at)
SELECT %(id)s, user_id, epoch, %(hash)s, %(nonce)s, %(description)s, %(at)s, %(at)s, %(expires)s
FROM credentials WHERE user_id = %(user)s AND epoch = %(epoch)s AND status = 'enabled'"""

_LOCK = """
SELECT s.user_id, s.epoch, s.token_hash, s.previous_hash, s.nonce, s.rotated_at, s.expires_at,
       s.epoch = c.epoch AND c.status = 'enabled'
FROM sessions s JOIN credentials c USING (user_id) WHERE s.id = %s FOR UPDATE OF s"""

_ROTATE = """
UPDATE sessions SET token_hash = %s, previous_hash = %s, rotated_at = %s, expires_at = %s WHERE id = %s"""

log = logging.getLogger("usersd.sessions")


class PostgresSessions:
    """Implements the port Sessions."""

    def __init__(self, pool: AsyncConnectionPool, keyring: Keyring, *, life: timedelta, issuer: str) -> None:
        self._pool = pool
        self._key = hmac.digest(keyring.refresh_key, b"refresh token signature", hashlib.sha512)
        self._chain = keyring.refresh_key
        self._life = life
        self._issuer = issuer

    async def open(self, credential: Credential, description: str, at: datetime) -> tuple[SessionGrant, str]:
        session_id, nonce = uuid4(), os.urandom(16)
        token = self._token(
            session_id,
            credential.user_id,
            role=2 if credential.role is Role.ADMIN else 1,
            verified=credential.verified,
            link=os.urandom(16).hex(),
            at=at,
            expires=at + self._life,
        )
        row = {
            "id": session_id,
            "user": credential.user_id,
            "epoch": credential.epoch,
            "hash": _hash(token),
            "nonce": nonce,
            "description": description,
            "at": at,
            "expires": at + self._life,
        }
        try:
            async with self._pool.connection() as connection:
                opened = await connection.execute(_OPEN, row)
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None
        if opened.rowcount == 0:
            # The account was shut, or its secret changed, while this login was on its way.
            raise WrongCredentials
        return _grant(credential.user_id, session_id, credential.epoch), token

    async def refresh(self, token: str, at: datetime) -> tuple[SessionGrant, str]:
        claims = self._checked(token)
        session_id = claims["jti"]
        try:
            async with self._pool.connection() as connection, connection.transaction():
                rotated = await self._rotated(connection, token, claims, session_id, at)
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None
        if rotated is None:
            raise InvalidToken
        return rotated

    async def _rotated(
        self,
        connection: psycopg.AsyncConnection,
        token: str,
        claims: dict[str, Any],
        session_id: UUID,
        at: datetime,
    ) -> tuple[SessionGrant, str] | None:
        row = await (await connection.execute(_LOCK, (session_id,))).fetchone()
        if row is None:
            return None
        user_id, epoch, current, previous, nonce, rotated_at, expires_at, holds = row
        shown = _hash(token)
        if not holds or expires_at <= at:
            return None
        link = hmac.digest(self._chain, bytes(nonce) + token.encode(), hashlib.sha256)[:16].hex()
        if hmac.compare_digest(shown, bytes(current)):
            again = self._again(claims, user_id, link, at, at + self._life)
            await connection.execute(_ROTATE, (_hash(again), shown, at, at + self._life, session_id))
            return _grant(user_id, session_id, epoch), again
        if previous and hmac.compare_digest(shown, bytes(previous)) and at - rotated_at <= GRACE:
            return _grant(user_id, session_id, epoch), self._again(
                claims, user_id, link, rotated_at, expires_at
            )
        # A used-up token is shown again: one of the two who hold it has stolen it.
        log.warning("a used-up refresh token was shown again; its session %s is ended", session_id)
        await connection.execute("DELETE FROM sessions WHERE id = %s", (session_id,))
        return None

    def _again(
        self, claims: dict[str, Any], user_id: UUID, link: str, at: datetime, expires: datetime
    ) -> str:
        """The successor of a token: made of it and of its row, so that every replica makes the same."""
        return self._token(
            claims["jti"],
            user_id,
            role=claims["role"],
            verified=claims["verified"],
            link=link,
            at=at,
            expires=expires,
        )

    def _token(
        self,
        session_id: UUID,
        user_id: UUID,
        *,
        role: int,
        verified: bool,
        link: str,
        at: datetime,
        expires: datetime,
    ) -> str:
        claims = {
            "iss": self._issuer,
            "sub": str(user_id),
            "iat": int(at.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": str(session_id),
            "type": REFRESH,
            "role": role,
            "verified": verified,
            "link": link,
        }
        return jwt.encode(claims, self._key, _ALGORITHM, {"typ": "rt+jwt"})

    def _checked(self, token: str) -> dict[str, Any]:
        try:
            if len(token) > MAX_TOKEN_CHARACTERS or jwt.get_unverified_header(token).get("typ") != "rt+jwt":
                raise InvalidToken
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                # How long it holds is told by its row, against the time of the request.
                options={"require": ["exp", "jti"], "verify_exp": False, "verify_iat": False},
            )
            if claims.get("type") != REFRESH:
                raise InvalidToken
            return claims | {"jti": UUID(claims["jti"])}
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            raise InvalidToken from None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _grant(user_id: UUID, session_id: UUID, epoch: int) -> SessionGrant:
    return SessionGrant(user_id=user_id, session_id=session_id, epoch=epoch)
