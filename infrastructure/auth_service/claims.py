"""What the tokens of the Auth service say, once their signature has been believed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec

from domain.errors import InvalidToken

LEEWAY = timedelta(seconds=5)
"""How far the clock of the Auth service may be ahead."""

TYPES = range(6)
ROLES = (1, 2)


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims that are read. `session_id` is the `jti`; tokens without one stand for themselves alone."""

    user_id: UUID
    type: int
    session_id: UUID
    issued_at: float
    expires_at: float


def read(token: str, said: Mapping[str, Any], issuer: str, at: datetime) -> Claims:
    """Raises InvalidToken for what is malformed, another issuer's, expired, or from the future."""
    try:
        claims = Claims(
            user_id=UUID(said["sub"]),
            type=_one_of(said["type"], TYPES),
            session_id=UUID(said["jti"]) if "jti" in said else digest_id(token),
            issued_at=_seconds(said["iat"]),
            expires_at=_seconds(said["exp"]),
        )
        _one_of(said["role"], ROLES)
        well_formed = isinstance(said["verified"], bool) and said["iss"] == issuer
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise InvalidToken from None
    ahead = claims.issued_at > (at + LEEWAY).timestamp()
    if not well_formed or ahead or claims.expires_at <= at.timestamp():
        raise InvalidToken
    return claims


def unchecked(token: str) -> dict[str, Any]:
    """The claims of a token whose signature somebody else has checked. Raises InvalidToken."""
    try:
        said: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise InvalidToken from None
    return said


def digest_id(token: str) -> UUID:
    """An id for a token that has none: nobody can find another token of the same."""
    return UUID(bytes=hashlib.sha256(token.encode()).digest()[:16], version=4)


def _one_of(claim: object, allowed: range | tuple[int, ...]) -> int:
    if isinstance(claim, bool) or not isinstance(claim, int) or claim not in allowed:
        raise ValueError
    return claim


def _seconds(claim: object) -> float:
    """A NumericDate (RFC 7519 section 2)."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not math.isfinite(claim):
        raise ValueError
    return float(claim)
