"""The tokens of links in mails, as the application knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

LinkKind = Literal["verification", "password_reset"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token of a mail was sent to, and the event that asked for it."""

    user_id: UUID
    event_id: UUID


class Links(Protocol):
    async def find(self, kind: LinkKind, token: str, at: datetime) -> Link:
        """What a token of a mail leads to, as long as its time lasts.

        Raises Invalid for what was never a token of this kind, TokenGone for one that is known no more.
        """
