"""What the application needs of the world: protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from application.clients import Clients
from application.limits import Limit
from application.link_tokens import Links
from application.listing import Found, Part, Place, UserFilter
from application.messages import Context, Page, Receipt, Repeat
from application.security import SecurityFact as SecurityFact
from application.security import SecurityLog, Session
from domain.access import Actor
from domain.events import Event
from domain.throttling import Act, Scope
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


class LivingSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose refresh token is worth something, and until when."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


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

    async def of(self, user_id: UUID) -> Credential | None:
        """The account of a user as it is now."""

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


class Rights(msgspec.Struct, frozen=True):
    """What the account behind a token may do at this moment."""

    role: Role
    verified: bool


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
    hasher: PasswordHasher
    throttle: Throttle
    clients: Clients
    clock: Clock
    rules: Rules
