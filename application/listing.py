"""What a list of users is asked for: whom it holds, in which order, and where a page of it begins."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from domain.values import Role, Status

Order = Literal["created_at", "updated_at", "first_name", "last_name", "username", "email"]
Direction = Literal["asc", "desc"]


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which users a list holds, in which order.

    Texts match without regard to case or Unicode form: those of three characters or more anywhere,
    shorter ones at the beginning; `name` and `identity` (an email) match the whole value. Tags match
    exactly. An empty text, no tags and no metadata let everybody through.
    """

    status: Status | None = Status.ENABLED
    role: Role | None = None
    id: str = ""
    email: str = ""
    username: str = ""
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    identity: str = ""
    all_tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    created_from: datetime | None = None
    created_to: datetime | None = None
    order: Order = "updated_at"
    direction: Direction = "desc"


class Place(msgspec.Struct, frozen=True):
    """A user's place in an order: the value the list is ordered by, and the id that breaks ties."""

    value: str | datetime
    id: UUID


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted: so many, after a number of users or after a place.

    `capped` says that nobody minds a total that is cut where counting on would take long.
    """

    limit: int = 10
    offset: int = 0
    after: Place | None = None
    only_total: bool = False
    capped: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a list holds there; `next` is the place after which it goes on, None at its end.

    `exact` is False where the list holds at least so many as `total`, and perhaps more. `position` is the
    one of the log that it holds, None where nobody has asked for one.
    """

    users: list[bytes]
    total: int
    exact: bool = True
    next: Place | None = None
    position: int | None = None
