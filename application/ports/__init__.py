"""What the application needs of the world: protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec

from application.clients import Clients
from application.holdings import Holdings
from application.link_tokens import Links
from application.ports.accounts import (
    AccessClaims,
    Accounts,
    Credential,
    NameKind,
    PasswordHasher,
    Throttle,
    Throttled,
)
from application.ports.directory import (
    ANY_FRESHNESS,
    Cursors,
    Freshness,
    UserDirectory,
    UserRow,
    WalkedPage,
    WalkedUser,
)
from application.ports.log import Change, EventLog, History, Recorded, Repeats, Unreadable, Visibility
from application.ports.tokens import LivingSession, Revocations, Rights, SessionGrant, Sessions, Tokens
from application.security import SecurityFact, SecurityLog

__all__ = [
    "ANY_FRESHNESS",
    "AccessClaims",
    "Accounts",
    "Change",
    "Clock",
    "Credential",
    "Cursors",
    "EventLog",
    "Freshness",
    "History",
    "LivingSession",
    "NameKind",
    "PasswordHasher",
    "Ports",
    "Recorded",
    "Repeats",
    "Revocations",
    "Rights",
    "Rules",
    "SecurityFact",
    "SessionGrant",
    "Sessions",
    "Throttle",
    "Throttled",
    "Tokens",
    "Unreadable",
    "UserDirectory",
    "UserRow",
    "Visibility",
    "WalkedPage",
    "WalkedUser",
]


class Clock(Protocol):
    def now(self) -> datetime: ...


async def _in_no_list(secret: str) -> bool:
    return False


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide what is allowed."""

    self_register: bool = True
    unverified_allowed: bool = True
    secret_allowed: Callable[[str], bool] = lambda secret: len(secret) >= 8
    secret_breached: Callable[[str], Awaitable[bool]] = _in_no_list
    issuer: str = ""
    audience: str = ""
    public_url: str = ""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a handler may reach."""

    log: EventLog
    accounts: Accounts
    repeats: Repeats
    directory: UserDirectory
    cursors: Cursors
    visibility: Visibility
    tokens: Tokens
    revocations: Revocations
    sessions: Sessions
    links: Links
    security_log: SecurityLog
    holdings: Holdings
    hasher: PasswordHasher
    throttle: Throttle
    clients: Clients
    clock: Clock
    rules: Rules
