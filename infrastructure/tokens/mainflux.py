"""Access tokens as Mainflux signed them, for parties that check them with the secret they share with us.

Whoever holds that secret can make tokens too: it is as good as every password together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

ALGORITHM = "HS512"
ISSUER = "clients.auth"
ACCESS = "access"

SAFE_BYTES = 64
"""The least length of a key for HS512 (RFC 7518 section 3.2)."""


class _AnyLength(HMACAlgorithm):
    """A deployment that moves here brings the secret it has; a short one is warned about at the start."""

    def prepare_key(self, key: str | bytes) -> bytes:
        assert isinstance(key, bytes)
        return key

    def check_key_length(self, key: bytes) -> str | None:
        return None


class SharedSecret:
    """Signs and opens tokens; `email_of` tells the email that a token names its user by."""

    def __init__(self, secret: str, email_of: Callable[[UUID], Awaitable[str]]) -> None:
        self._secret = secret.encode("utf-8", "surrogateescape")
        self._email_of = email_of
        self._jws = jwt.PyJWS(algorithms=[])
        self._jws.register_algorithm(ALGORITHM, _AnyLength(hashlib.sha512))

    @property
    def is_short(self) -> bool:
        return len(self._secret) < SAFE_BYTES

    async def sign(self, claims: dict[str, Any]) -> str:
        """A token in Mainflux's form, of claims in ours."""
        said = {name: claim for name, claim in claims.items() if name not in ("aud", "client_id")}
        said |= {
            "iss": ISSUER,
            "type": ACCESS,
            "identity": await self._email_of(UUID(claims["sub"])),
        }
        return self._jws.encode(msgspec.json.encode(said), self._secret, ALGORITHM)

    def open(self, token: str) -> dict[str, Any]:
        """The claims of a token that was signed with the secret. Raises jwt.PyJWTError or ValueError."""
        claims = msgspec.json.decode(self._jws.decode(token, self._secret, algorithms=[ALGORITHM]))
        if not isinstance(claims, dict):
            raise ValueError("no claims")
        # Mainflux did not look at the issuer: it asked for a name, and for the word that tells the kinds.
        if claims.get("type") != ACCESS or not isinstance(claims.get("identity"), str):
            raise ValueError("no access token")
        return claims
