"""Sessions and the security log as the application speaks of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its user is shown it; the networks are prefixes of addresses, empty where not known.

    The times are known of sessions that are kept here.
    """

    id: UUID
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    description: str = ""
    user_agent: str = ""
    opened_from: str = ""
    network: str = ""


SecurityKind = Literal[
    "login",
    "login_failed",
    "refresh_reused",
    "session_revoked",
    "all_sessions_revoked",
    "reset_requested",
    "reset_mail_dropped",
    "secret_reset",
    "verification_requested",
    "email_verified",
    "throttle_lifted",
    "export",
]


class SecurityFact(msgspec.Struct, frozen=True, kw_only=True):
    """Something around an account that changes no user. Holds no secret, no name and no full address.

    `user_id` is None where nobody has the name that was tried; `network` is a prefix of an address.
    """

    kind: SecurityKind
    at: datetime
    user_id: UUID | None = None
    session_id: UUID | None = None
    network: str = ""
    detail: str = ""


class SecurityEntry(SecurityFact, frozen=True, kw_only=True):
    """A fact with its place in the log; later ones have higher numbers."""

    number: int


class SecurityLog(Protocol):
    async def record(self, fact: SecurityFact) -> None:
        """Take note of a fact. Never fails and never waits: what there is no room for is counted and lost."""

    async def page(self, user_id: UUID, limit: int, before: int | None) -> Sequence[SecurityEntry]:
        """What concerns one user, newest first, from below a number on."""
