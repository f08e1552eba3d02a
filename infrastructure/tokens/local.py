"""Access tokens of our own: JWTs signed with ES256, in the profile of RFC 9068.

They carry the claims that Magistrala's services read (`type` 0, `role` 1 or 2, `verified`) and two of
ours: `epoch`, the credential epoch they were issued under, and `sid`, the session they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from jwt.types import Options

from application.ports import AccessClaims, Credential, SessionGrant
from domain.errors import InvalidToken
from domain.values import Role
from infrastructure.tokens.signing import SigningKey

ACCESS = 0
REFRESH = 1
CLIENT_ID = "usersd"
MAX_REMEMBERED = 20_000
MAX_TOKEN_CHARACTERS = 4096
LEEWAY = timedelta(seconds=5)

# Times are checked here, against the time of the request, and not by PyJWT against the machine's.
_OPTIONS: Options = {
    "require": ["exp", "iat", "sub", "aud", "iss", "jti"],
    "verify_exp": False,
    "verify_iat": False,
}


class LocalTokens:
    """Implements the port Tokens."""

    def __init__(self, keys: Sequence[SigningKey], *, life: timedelta, issuer: str, audience: str) -> None:
        self._keys = {key.kid: key for key in keys}
        self._active = keys[0]
        self._life = life
        self._issuer = issuer
        self._audience = audience
        # A signature that held once holds again; only the clock can change the answer.
        self._checked: dict[str, AccessClaims] = {}

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517), for whoever checks tokens without asking us."""
        return {"keys": [key.jwk for key in self._keys.values()]}

    async def access_token(self, grant: SessionGrant, credential: Credential, at: datetime) -> str:
        claims = {
            "iss": self._issuer,
            "sub": str(grant.user_id),
            "aud": self._audience,
            "iat": int(at.timestamp()),
            "exp": int((at + self._life).timestamp()),
            "jti": str(uuid4()),
            "client_id": CLIENT_ID,
            "type": ACCESS,
            "role": 2 if credential.role is Role.ADMIN else 1,
            "verified": credential.verified,
            "epoch": grant.epoch,
            "sid": str(grant.session_id),
        }
        headers = {"kid": self._active.kid, "typ": "at+jwt"}
        return jwt.encode(claims, self._active.private, SigningKey.algorithm, headers)

    def check_access(self, token: str, at: datetime) -> AccessClaims:
        claims = self._checked.get(token)
        if claims is None:
            claims = self._check(token, at)
            if len(self._checked) >= MAX_REMEMBERED:
                self._checked.clear()
            self._checked[token] = claims
        if claims.expires_at <= at.timestamp():
            self._checked.pop(token, None)
            raise InvalidToken
        return claims

    def _check(self, token: str, at: datetime) -> AccessClaims:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != "at+jwt":
                raise InvalidToken
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options=_OPTIONS,
            )
            if claims.get("type") != ACCESS or float(claims["iat"]) > (at + LEEWAY).timestamp():
                raise InvalidToken
            return AccessClaims(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                epoch=int(claims["epoch"]),
                expires_at=min(float(claims["exp"]), (at + self._life).timestamp() + 60),
            )
        except (jwt.PyJWTError, AttributeError, KeyError, ValueError, TypeError):
            raise InvalidToken from None
