"""The tokens of links in mails: computed from the event that asks for one, stored only as a hash.

A token is kind, event id and a MAC over both in base64url. The MAC tells what was once ours from what never
was; that it still is worth something, only its row and the user's history can say. It has no form that an
access or refresh token has, nor do those have its MAC.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.link_tokens import Link, LinkKind
from domain.errors import Fault, Invalid, TokenGone, Unavailable
from infrastructure.event_store.keyring import Keyring

_NUMBERS: dict[LinkKind, bytes] = {"verification": b"\x01", "password_reset": b"\x02"}
_MAC = 32

_FIND = "SELECT user_id, event_id, expires_at FROM link_tokens WHERE kind = %s AND token_hash = %s"


class LinkTokens:
    """Makes the tokens and knows its own."""

    def __init__(self, keyring: Keyring) -> None:
        self._key = keyring.mail_key

    def token(self, kind: LinkKind, event_id: UUID) -> str:
        """The token for a request: the same whenever it is computed."""
        plain = _NUMBERS[kind] + event_id.bytes
        return base64.urlsafe_b64encode(plain + self._mac(plain)).rstrip(b"=").decode()

    def is_ours(self, kind: LinkKind, token: str) -> bool:
        """Whether this was ever a token of this kind."""
        try:
            # Exactly the one spelling that was sent; base64 has several for the same bytes.
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return False
        if len(raw) != 1 + 16 + _MAC or not raw.startswith(_NUMBERS[kind]):
            return False
        again = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        plain, mac = raw[:-_MAC], raw[-_MAC:]
        return hmac.compare_digest(mac, self._mac(plain)) and again == token

    def _mac(self, plain: bytes) -> bytes:
        return hmac.digest(self._key, b"link of a mail\x00" + plain, hashlib.sha256)


def hash_of(token: str) -> bytes:
    """The form in which a token is stored."""
    return hashlib.sha256(token.encode()).digest()


class PostgresLinks:
    """Implements the port Links."""

    def __init__(self, tokens: LinkTokens, pool: AsyncConnectionPool) -> None:
        self._tokens = tokens
        self._pool = pool

    async def find(self, kind: LinkKind, token: str, at: datetime) -> Link:
        if not self._tokens.is_ours(kind, token):
            raise Invalid(Fault("/token", "This is not a token that this service has sent for this."))
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(_FIND, (kind, hash_of(token)))).fetchone()
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None
        if row is None or row[2] is None or row[2] <= at:
            raise TokenGone
        return Link(user_id=row[0], event_id=row[1])
