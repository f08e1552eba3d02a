"""What lists and profiles are read from, and how a page names the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from application.listing import Found, Part, Place, UserFilter
from application.messages import Page
from domain.user import User


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and the position of the log that the answer has to hold, where they name one."""

    position: int | None = None
    caller: UUID | None = None


ANY_FRESHNESS = Freshness()


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the read model holds them; `behind` when the log has more."""

    document: bytes
    card: bytes
    version: int
    behind: bool = False


class WalkedUser(NamedTuple):
    """A user as a walk over all of them finds them."""

    id: UUID
    version: int
    document: bytes


class WalkedPage(NamedTuple):
    """A stretch of users in the order of their ids, and those in it whose rows may lag behind the log."""

    users: Sequence[WalkedUser]
    parked: Sequence[UUID]


class UserDirectory(Protocol):
    async def find(self, user_id: UUID) -> UserRow | None: ...

    async def list(
        self, filter: UserFilter, part: Part, *, cards: bool = False, freshness: Freshness = ANY_FRESHNESS
    ) -> Found:
        """A part of a list and the exact total, from one snapshot; as documents or as public cards.

        Raises Unavailable where the position that is asked for is not reached in time.
        """

    def walk(self, after: UUID | None, position: int) -> AsyncIterator[WalkedPage]:
        """Every user whose id is above one, page by page; each row holds its events up to a position.

        Neither a transaction nor a connection is kept between pages. Raises Unavailable, also where the
        read model turns out to be behind the position.
        """

    async def history(
        self, user_id: UUID, limit: int, offset: int, *, freshness: Freshness = ANY_FRESHNESS
    ) -> Page: ...

    def render(self, user: User) -> UserRow: ...


class Cursors(Protocol):
    def seal(self, place: Place, bound_to: bytes) -> str:
        """A text that leads back to a place, in the list that it is bound to and in no other."""

    def open(self, cursor: str, bound_to: bytes) -> Place:
        """Raises Invalid for a cursor of another list and for one that was never sealed here."""
