"""Tokens and the sessions behind them: issued, checked, gone on with, ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from application.ports.accounts import AccessClaims, Credential
from application.security import Session
from domain.values import Role


class SessionGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be opened or, after a refresh, one that goes on.

    `access_token` came with it where another service issues both.
    """

    user_id: UUID
    session_id: UUID
    epoch: int
    access_token: str = ""


class LivingSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose refresh token is worth something, and until when."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


class Rights(msgspec.Struct, frozen=True):
    """What the account behind a token may do at this moment."""

    role: Role
    verified: bool


class Tokens(Protocol):
    async def access_token(self, grant: SessionGrant, credential: Credential, at: datetime) -> str: ...

    async def claims(self, token: str, at: datetime) -> AccessClaims:
        """Raises InvalidToken for anything but a valid access token, Unavailable where nobody can say."""


class Revocations(Protocol):
    async def check(self, claims: AccessClaims) -> Rights:
        """The rights of a token's account as they are now, at most a second behind the log.

        Raises InvalidToken where the token has lost its worth since it was issued, and Unavailable where
        nobody can say whether it has.
        """


class Sessions(Protocol):
    async def open(
        self,
        credential: Credential,
        description: str,
        at: datetime,
        *,
        user_agent: str = "",
        network: str = "",
    ) -> tuple[SessionGrant, str]:
        """Open a session while the epoch still holds; the refresh token comes with it."""

    async def refresh(self, token: str, at: datetime, *, network: str = "") -> tuple[SessionGrant, str]:
        """Rotate a refresh token. Raises InvalidToken.

        A token that was used up longer ago than the grace ends its session, and the security log says so.
        """

    def made_here(self, token: str) -> bool:
        """Whether this was ever a refresh token of ours; nobody can make one up."""

    async def living(self, token: str, at: datetime) -> LivingSession | None:
        """The session that a refresh token would go on with now; the token is not used up by asking."""

    async def of(self, user_id: UUID, at: datetime) -> Sequence[Session]:
        """The living sessions of a user, at most 1,000, the one that was used last first."""

    async def revoke(
        self, user_id: UUID, session_id: UUID, at: datetime, *, by: UUID | None = None, network: str = ""
    ) -> None:
        """End one session of this user for good, with its access tokens; one that there is not is no fault.

        `by` is the session that asks. The security log says so in the same transaction.
        """

    async def revoke_all(
        self,
        user_id: UUID,
        at: datetime,
        *,
        keep: UUID | None = None,
        by: UUID | None = None,
        network: str = "",
    ) -> None:
        """End every session of a user but `keep`, as `revoke` ends one."""
