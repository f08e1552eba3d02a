"""What is written to the log and read from it, and what makes a repeat of a command known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from application.messages import Context, Receipt, Repeat
from domain.access import Actor
from domain.events import Event
from domain.user import User


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
    """An event that this version of the service cannot read, and why; never to be skipped.

    `forgotten` says that the user's key was destroyed on purpose, so that nothing waits for this event.
    """

    position: int
    user_id: UUID
    version: int
    name: str
    reason: str
    forgotten: bool = False


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A user folded from the log, the position of the last event, and the key that seals the next."""

    user: User
    position: int = 0
    key: Any = None


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


class Repeats(Protocol):
    def mark(self, caller: UUID | None, key: str, request: Iterable[bytes], status: int) -> Repeat:
        """What makes a repeat known; a caller's keys are their own, those of nobody are everybody's."""

    async def find(self, repeat: Repeat, at: datetime) -> Receipt | None:
        """What the first one came to, if it was stored within 24 hours. Raises KeyReused."""


class Visibility(Protocol):
    async def wait(self, position: int, within: float) -> bool:
        """Whether the read models behind lists reach a position within so many seconds.

        Answers False at once while they are known to be stalled.
        """
