"""The form of refresh tokens: JWTs that old clients can look into, worth nothing without a session's row."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import datetime
from uuid import UUID

import jwt
import msgspec
from jwt.utils import base64url_encode

from domain.errors import InvalidToken
from infrastructure.event_store.keyring import Keyring
from infrastructure.tokens.local import MAX_TOKEN_CHARACTERS, REFRESH

_ALGORITHM = "HS512"


class RefreshClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh token says: its session and user, and what the account was when the session began."""

    session_id: UUID
    user_id: UUID
    role: int
    verified: bool


class RefreshTokens:
    """Makes and checks refresh tokens, and computes the successor of one."""

    def __init__(self, keyring: Keyring, *, issuer: str) -> None:
        self._key = hmac.digest(keyring.refresh_key, b"refresh token signature", hashlib.sha512)
        self._chain = keyring.refresh_key
        self._issuer = issuer

    def first(self, claims: RefreshClaims, at: datetime, expires: datetime) -> str:
        """The token that a session begins with."""
        return self._make(claims, os.urandom(16).hex(), at, expires)

    def successor(
        self, claims: RefreshClaims, nonce: bytes, token: str, at: datetime, expires: datetime
    ) -> str:
        """Made of a token and of its session's row, so that every replica makes the same."""
        link = hmac.digest(self._chain, nonce + token.encode(), hashlib.sha256)[:16].hex()
        return self._make(claims, link, at, expires)

    def check(self, token: str) -> RefreshClaims:
        """Raises InvalidToken for what was not made here or is no refresh token.

        How long it holds is told by its session's row, against the time of the request.
        """
        try:
            if len(token) > MAX_TOKEN_CHARACTERS:
                raise InvalidToken
            checked = jwt.decode_complete(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                options={"require": ["exp", "jti"], "verify_exp": False, "verify_iat": False},
            )
            # The last letter of a signature has bits to spare; only one spelling of a token is the token.
            if base64url_encode(checked["signature"]).decode() != token.rpartition(".")[2]:
                raise InvalidToken
            claims = checked["payload"]
            if checked["header"].get("typ") != "rt+jwt" or claims.get("type") != REFRESH:
                raise InvalidToken
            return RefreshClaims(
                session_id=UUID(claims["jti"]),
                user_id=UUID(claims["sub"]),
                role=claims["role"],
                verified=claims["verified"],
            )
        except (jwt.PyJWTError, AttributeError, KeyError, ValueError, TypeError):
            raise InvalidToken from None

    def _make(self, claims: RefreshClaims, link: str, at: datetime, expires: datetime) -> str:
        return jwt.encode(
            {
                "iss": self._issuer,
                "sub": str(claims.user_id),
                "iat": int(at.timestamp()),
                "exp": int(expires.timestamp()),
                "jti": str(claims.session_id),
                "type": REFRESH,
                "role": claims.role,
                "verified": claims.verified,
                "link": link,
            },
            self._key,
            _ALGORITHM,
            {"typ": "rt+jwt"},
        )


def digest(token: str) -> bytes:
    """The hash by which a token is known to its session's row."""
    return hashlib.sha256(token.encode()).digest()
