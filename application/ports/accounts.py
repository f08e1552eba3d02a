"""What a login knows of an account: names, credentials, hashing, and the limits on attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from application.limits import Limit
from domain.throttling import Act, Scope
from domain.values import Role, Status

NameKind = Literal["email", "username"]


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid access token says; of a personal one (`pat`) it is not known when it expires."""

    user_id: UUID
    session_id: UUID
    epoch: int
    expires_at: float
    kind: Literal["access", "pat"] = "access"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a login and a check of a token must know at once; as true as the log, never behind it.

    The session that made the last change which ended all the others is `carried_session`; its tokens hold
    from the epoch `carried_from` on. `as_of` is a position of the log at which all of it was true.
    """

    user_id: UUID
    secret_hash: str | None
    epoch: int
    status: Status
    role: Role
    verified: bool
    carried_session: UUID | None = None
    carried_from: int | None = None
    as_of: int = 0

    def honours(self, claims: AccessClaims) -> bool:
        """Whether the epoch of a token still holds."""
        if claims.epoch == self.epoch:
            return True
        if self.carried_from is None or claims.session_id != self.carried_session:
            return False
        return self.carried_from <= claims.epoch < self.epoch


class Accounts(Protocol):
    async def find(self, login: str) -> Credential | None:
        """The account that a username or an email belongs to."""

    async def of(self, user_id: UUID) -> Credential | None:
        """The account of a user as it is now."""

    async def holder(self, kind: NameKind, entered: str) -> UUID | None:
        """Who holds a name at this moment."""

    async def had_admin(self) -> bool:
        """Whether the log has ever held an admin."""

    async def rehashed(self, user_id: UUID, old: str, new: str) -> None:
        """Replace a hash of the same secret; no event, since nothing about the user has changed."""


class PasswordHasher(Protocol):
    async def hash(self, secret: str) -> str:
        """Raises Overloaded when too many wait."""

    async def verify(self, secret: str, hashed: str | None) -> bool:
        """Takes the same time for None and for a wrong secret. Raises Overloaded."""

    def outdated(self, hashed: str) -> bool: ...


class Throttled(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts on one account that are held against it, and until when the next one waits."""

    act: Act
    scope: Scope
    network: str
    attempts: int
    waits_until: datetime | None


class Throttle(Protocol):
    async def admit(self, limits: Sequence[Limit], at: datetime) -> None:
        """Let an attempt go on. Raises TooManyAttempts with the time to wait."""

    async def count(self, limits: Sequence[Limit], at: datetime) -> None:
        """Remember an attempt that counts."""

    async def succeeded(self, limits: Sequence[Limit], at: datetime) -> None:
        """Forgive what an account has failed from its network, which is known to it from now on."""

    async def of(self, user_id: UUID, at: datetime) -> Sequence[Throttled]: ...

    async def lift(self, user_id: UUID) -> int:
        """Forget all attempts on an account; how many limits that were."""
