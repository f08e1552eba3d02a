"""The port Links in memory: the real tokens over rows that a test puts there."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from application.link_tokens import Link, LinkKind
from domain.errors import Fault, Invalid, TokenGone
from infrastructure.event_store.keyring import Keyring
from infrastructure.tokens.links import LinkTokens


class MemoryLinks:
    """Implements the port Links; `hand_over` stands for the mail that has arrived."""

    def __init__(self, keys: Keyring) -> None:
        self._tokens = LinkTokens(keys)
        self._rows: dict[tuple[LinkKind, str], tuple[Link, datetime]] = {}

    def hand_over(self, kind: LinkKind, user_id: UUID, event_id: UUID, expires_at: datetime) -> str:
        """The token for a request, which holds from now on."""
        token = self._tokens.token(kind, event_id)
        self._rows[kind, token] = Link(user_id=user_id, event_id=event_id), expires_at
        return token

    async def find(self, kind: LinkKind, token: str, at: datetime) -> Link:
        if not self._tokens.is_ours(kind, token):
            raise Invalid(Fault("/token", "This is no token of ours."))
        if (row := self._rows.get((kind, token))) is None or row[1] <= at:
            raise TokenGone
        return row[0]
