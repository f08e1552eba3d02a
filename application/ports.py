"""What the application needs of the world: protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from application.listing import Found, Part, Place, UserFilter
from application.messages import Context, Page, Receipt, Repeat
from domain.access import Actor
from domain.events import Event
from domain.user import User
from domain.values import Role, Status

NameKind = Literal["email", "username"]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the log holds it.

    `forgotten` says that the user's key was destroyed on purpose: what was personal reads as empty.
    """

    position: int
    user_id: UUID
    version: int
    name: str
    event: Event
    event_id: UUID
    actor: Actor
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None = None
    request_id: str = ""
    traceparent: str = ""
    forgotten: bool = False

    @property
    def originator_id(self) -> UUID:
        return self.user_id

    @property
    def originator_version(self) -> int:
        return self.version


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """An event that this version of the service cannot read, and why; never to be skipped."""

    position: int
    user_id: UUID
    version: int
    name: str
    reason: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A user folded from the log, the position of the last event, and the key that seals the next."""

    user: User
    position: int = 0
    key: Any = None


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid access token says."""

    user_id: UUID
    session_id: UUID
    epoch: int
    expires_at: float


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a login and a check of a token must know at once; as true as the log, never behind it.

    The session that made the last change which ended all the others is `carried_session`; its tokens hold
    from the epoch `carried_from` on.
    """

    user_id: UUID
    secret_hash: str | None
    epoch: int
    status: Status
    role: Role
    verified: bool
    carried_session: UUID | None = None
    carried_from: int | None = None

    def honours(self, claims: AccessClaims) -> bool:
        """Whether the epoch of a token still holds."""
        if claims.epoch == self.epoch:
            return True
        if self.carried_from is None or claims.session_id != self.carried_session:
            return False
        return self.carried_from <= claims.epoch < self.epoch


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One command's events, and what must become true in the same transaction.

    Where the events raise the credential epoch, every session of the user ends but `carried_session`.
    """

    before: History
    after: User
    events: Sequence[Event]
    context: Context
    secret_hash: str | None = None
    first_admin: bool = False
    carried_session: UUID | None = None


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the read model holds them; `behind` when the log has more."""

    document: bytes
    card: bytes
    version: int
    behind: bool = False


class SessionGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be opened or, after a refresh, one that goes on."""

    user_id: UUID
    session_id: UUID
    epoch: int


class EventLog(Protocol):
    async def load(self, user_id: UUID) -> History:
        """Fold one user. Raises UnknownEvent where an event of a newer version is met."""

    async def timeline(self, user_id: UUID) -> Sequence[Recorded]:
        """Every event of one user in order."""

    async def append(self, change: Change) -> int:
        """Store a change whole and return the position of its last event.

        Raises VersionConflict, EmailTaken, UsernameTaken, LastAdmin, KeyInUse where something was stored
        for the same idempotency key, or Unavailable where the log cannot be reached; a change that was
        stored is never refused. What makes a repeat known is stored with the change.
        """

    async def head(self) -> int:
        """The position of the last event; 0 for an empty log."""


class Accounts(Protocol):
    async def find(self, login: str) -> Credential | None:
        """The account that a username or an email belongs to."""

    async def of(self, user_id: UUID, *, fresh: bool = False) -> Credential | None:
        """The account of a user: as it is now where `fresh`, else at most a second old."""

    async def holder(self, kind: NameKind, entered: str) -> UUID | None:
        """Who holds a name at this moment."""

    async def had_admin(self) -> bool:
        """Whether the log has ever held an admin."""

    async def rehashed(self, user_id: UUID, old: str, new: str) -> None:
        """Replace a hash of the same secret; no event, since nothing about the user has changed."""


class Repeats(Protocol):
    def mark(self, caller: UUID | None, key: str, request: Iterable[bytes], status: int) -> Repeat:
        """What makes a repeat known; a caller's keys are their own, those of nobody are everybody's."""

    async def find(self, repeat: Repeat, at: datetime) -> Receipt | None:
        """What the first one came to, if it was stored within 24 hours. Raises KeyReused."""


class UserDirectory(Protocol):
    async def find(self, user_id: UUID) -> UserRow | None: ...

    async def list(self, filter: UserFilter, part: Part, *, cards: bool = False) -> Found:
        """A part of a list and the exact total, from one snapshot; as documents or as public cards."""

    async def history(self, user_id: UUID, limit: int, offset: int) -> Page: ...

    def render(self, user: User) -> UserRow: ...


class Cursors(Protocol):
    def seal(self, place: Place, bound_to: bytes) -> str:
        """A text that leads back to a place, in the list that it is bound to and in no other."""

    def open(self, cursor: str, bound_to: bytes) -> Place:
        """Raises Invalid for a cursor of another list and for one that was never sealed here."""


class Visibility(Protocol):
    async def wait(self, position: int, within: float) -> bool:
        """Whether the read model `users` reaches a position within so many seconds.

        Answers False at once while the read model is known to be stalled.
        """


class Tokens(Protocol):
    async def access_token(self, grant: SessionGrant, credential: Credential, at: datetime) -> str: ...

    def check_access(self, token: str, at: datetime) -> AccessClaims:
        """Raises InvalidToken for anything but a valid access token of ours."""


class Sessions(Protocol):
    async def open(self, credential: Credential, description: str, at: datetime) -> tuple[SessionGrant, str]:
        """Open a session while the epoch still holds; the refresh token comes with it."""

    async def refresh(self, token: str, at: datetime) -> tuple[SessionGrant, str]:
        """Rotate a refresh token. Raises InvalidToken."""


class PasswordHasher(Protocol):
    async def hash(self, secret: str) -> str:
        """Raises Overloaded when too many wait."""

    async def verify(self, secret: str, hashed: str | None) -> bool:
        """Takes the same time for None and for a wrong secret. Raises Overloaded."""

    def outdated(self, hashed: str) -> bool: ...


class Clock(Protocol):
    def now(self) -> datetime: ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide what is allowed."""

    self_register: bool = True
    unverified_allowed: bool = True
    secret_allowed: Callable[[str], bool] = lambda secret: len(secret) >= 8


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a handler may reach."""

    log: EventLog
    accounts: Accounts
    repeats: Repeats
    directory: UserDirectory
    cursors: Cursors
    visibility: Visibility
    tokens: Tokens
    sessions: Sessions
    hasher: PasswordHasher
    clock: Clock
    rules: Rules
