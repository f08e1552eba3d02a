"""Access tokens of our own: JWTs in the profile of RFC 9068, or in Mainflux's form where a secret is shared.

They carry the claims that Magistrala's services read (`type` 0, `role` 1 or 2, `verified`) and two of
ours: `epoch`, the credential epoch they were issued under, and `sid`, the session they belong to. What the
account may do is never taken from them here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import msgspec
from jwt.types import Options

from application.ports import AccessClaims, Credential, SessionGrant
from domain.errors import InvalidToken
from domain.values import Role
from infrastructure.tokens.mainflux import SharedSecret
from infrastructure.tokens.signing import SigningKey

ACCESS = 0
REFRESH = 1
CLIENT_ID = "usersd"
MAX_REMEMBERED = 20_000
MAX_TOKEN_CHARACTERS = 4096
LEEWAY = timedelta(seconds=5)
ROLES = {Role.USER: 1, Role.ADMIN: 2}

# Times are checked here, against the time of the request, and not by PyJWT against the machine's.
_OPTIONS: Options = {
    "require": ["exp", "iat", "sub", "aud", "iss", "jti"],
    "verify_exp": False,
    "verify_iat": False,
}


_MALFORMED = (
    jwt.PyJWTError,
    msgspec.MsgspecError,
    AttributeError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)


def _nobody() -> None: ...


def _seconds(claim: object) -> float:
    """A NumericDate (RFC 7519 section 2). Raises ValueError for what is none, such as a text or NaN."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not math.isfinite(claim):
        raise ValueError
    return float(claim)


class LocalTokens:
    """Implements the port Tokens.

    The active key among `keys` signs, unless a secret is shared, and each token is checked with the key that
    its `kid` names, by the one algorithm of that key. `unknown_key` hears of a `kid` that none of them has.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        life: timedelta,
        issuer: str,
        audience: str,
        shared: SharedSecret | None = None,
        unknown_key: Callable[[], None] = _nobody,
    ) -> None:
        self._life = life
        self._issuer = issuer
        self._audience = audience
        self._shared = shared
        self._unknown_key = unknown_key
        # A signature that held once holds again; only the clock can change the answer.
        self._checked: dict[str, AccessClaims] = {}
        self._keys: dict[str, SigningKey] = {}
        self.use(keys)

    def use(self, keys: Sequence[SigningKey]) -> None:
        """Sign and check with these keys from now on, and with no others."""
        if set(self._keys) - {key.kid for key in keys}:
            self._checked.clear()
        self._keys = {key.kid: key for key in keys}
        self._active = next((key for key in keys if key.state == "active"), None)

    @property
    def keys(self) -> Sequence[SigningKey]:
        """The keys in use."""
        return list(self._keys.values())

    @property
    def active(self) -> SigningKey | None:
        """The key that signs; None where there is only a shared secret."""
        return self._active

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517), for whoever checks tokens without asking us."""
        return {"keys": [] if self._shared else [key.jwk for key in self._keys.values()]}

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
            "role": ROLES[credential.role],
            "verified": credential.verified,
            "epoch": grant.epoch,
            "sid": str(grant.session_id),
        }
        if self._shared:
            return await self._shared.sign(claims)
        assert self._active is not None, "there is no key to sign with"
        headers = {"kid": self._active.kid, "typ": "at+jwt"}
        return jwt.encode(claims, self._active.private, self._active.algorithm, headers)

    async def claims(self, token: str, at: datetime) -> AccessClaims:
        return self.check_access(token, at)

    def check_access(self, token: str, at: datetime) -> AccessClaims:
        """Raises InvalidToken for anything but a valid access token of ours."""
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
            claims = self._signed(token)
            issued_at, expires_at = _seconds(claims["iat"]), _seconds(claims["exp"])
            if issued_at > (at + LEEWAY).timestamp():
                raise InvalidToken
            return AccessClaims(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                epoch=int(claims["epoch"]),
                # A life that was shortened ends the tokens that were issued under a longer one, too.
                expires_at=min(expires_at, issued_at + self._life.total_seconds()),
            )
        except _MALFORMED:
            raise InvalidToken from None

    def _signed(self, token: str) -> dict[str, Any]:
        """The claims of an access token that one of our keys has signed."""
        header = jwt.get_unverified_header(token)
        if self._shared and "kid" not in header:
            return self._shared.open(token)
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            if "kid" in header:
                self._unknown_key()
            raise InvalidToken
        if header.get("typ") != "at+jwt":
            raise InvalidToken
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            options=_OPTIONS,
        )
        if claims.get("type") != ACCESS:
            raise InvalidToken
        return claims
