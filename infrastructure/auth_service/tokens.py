"""The tokens of the Auth service: checked by its public keys, or by asking it. Rights are decided here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jwt
from jwt.types import Options

from application.ports import AccessClaims, Credential, SessionGrant
from domain.errors import InvalidToken
from domain.values import user_id
from infrastructure.auth_service.claims import Claims, digest_id, read, unchecked
from infrastructure.auth_service.client import ACCESS, PERSONAL, AuthService
from infrastructure.auth_service.epochs import Epochs
from infrastructure.auth_service.keys import ALGORITHMS, PublicKeys

MAX_REMEMBERED = 20_000
MAX_TOKEN_CHARACTERS = 4096
PERSONAL_PREFIX = "pat_"

# Times and issuer are checked by what reads the claims, against the time of the request.
_OPTIONS: Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class RemoteTokens:
    """Implements the port Tokens over the Auth service.

    With `keys` a token is checked here; without, since the Auth service signs with a secret, it is asked
    about each. Personal access tokens it is asked about always.
    """

    def __init__(self, auth: AuthService, keys: PublicKeys | None, epochs: Epochs, *, issuer: str) -> None:
        self._auth = auth
        self._keys = keys
        self._epochs = epochs
        self._issuer = issuer
        # A signature that held once holds again, until a key is withdrawn.
        self._checked: dict[str, AccessClaims] = {}
        self._generation = 0

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys of the Auth service, as far as they are known here."""
        return self._keys.jwks if self._keys else {"keys": []}

    async def access_token(self, grant: SessionGrant, credential: Credential, at: datetime) -> str:
        """The one that came with the session."""
        return grant.access_token

    async def claims(self, token: str, at: datetime) -> AccessClaims:
        """Raises InvalidToken for anything but an access token, and Unavailable where that cannot be told."""
        if token.startswith(PERSONAL_PREFIX):
            return await self._personal(token)
        claims = self._remembered(token)
        if claims is None:
            found = await self.read(token, at)
            if found.type != ACCESS:
                raise InvalidToken
            claims = await self.stamped(found)
            if self._keys:
                self._remember(token, claims)
        if claims.expires_at <= at.timestamp():
            raise InvalidToken
        return claims

    async def stamped(self, claims: Claims) -> AccessClaims:
        """The claims with the epoch that the token was issued under. Raises InvalidToken."""
        account = await self._epochs.account(claims.user_id)
        return AccessClaims(
            user_id=claims.user_id,
            session_id=claims.session_id,
            epoch=await self._epochs.at(account, claims.issued_at),
            expires_at=claims.expires_at,
        )

    async def read(self, token: str, at: datetime) -> Claims:
        """What a token of any type says. Raises InvalidToken, Unavailable."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise InvalidToken
        said = await self._signed(token) if self._keys else await self._asked(token)
        return read(token, said, self._issuer, at)

    def read_at_hand(self, token: str, at: datetime) -> Claims | None:
        """The same without asking anybody; None where that cannot be done."""
        if self._keys is None or len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            key = self._keys.at_hand(_kid(token))
            return read(token, _opened(token, key), self._issuer, at) if key else None
        except InvalidToken:
            return None

    async def _signed(self, token: str) -> dict[str, Any]:
        assert self._keys is not None
        return _opened(token, await self._keys.find(_kid(token)))

    async def _asked(self, token: str) -> dict[str, Any]:
        answer = await self._auth.authenticate(token)
        said = unchecked(token)
        if said.get("sub") != answer.user_id or said.get("type") != answer.token_type:
            raise InvalidToken
        return said

    async def _personal(self, token: str) -> AccessClaims:
        """A token that outlives the sessions of its user, worth what the Auth service says of it now."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise InvalidToken
        answer = await self._auth.authenticate(token)
        owner = user_id(answer.user_id)
        if answer.token_type != PERSONAL or owner is None:
            raise InvalidToken
        account = await self._epochs.account(owner)
        return AccessClaims(
            user_id=owner, session_id=digest_id(token), epoch=account.epoch, expires_at=0.0, kind="pat"
        )

    def _remembered(self, token: str) -> AccessClaims | None:
        if self._keys is None or not self._keys.usable:
            return None
        if self._generation != self._keys.generation:
            self._checked.clear()
            self._generation = self._keys.generation
        return self._checked.get(token)

    def _remember(self, token: str, claims: AccessClaims) -> None:
        if len(self._checked) >= MAX_REMEMBERED:
            self._checked.clear()
        self._checked[token] = claims


def _kid(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token)["kid"])
    except (jwt.PyJWTError, KeyError):
        raise InvalidToken from None


def _opened(token: str, key: jwt.PyJWK) -> dict[str, Any]:
    """The claims under a signature of this key, by the one algorithm of its type."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key.key, algorithms=[ALGORITHMS[key.key_type or ""]], options=_OPTIONS
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        raise InvalidToken from None
    return claims
