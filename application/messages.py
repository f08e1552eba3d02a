"""What is said to the service: commands change something, queries ask; and what comes back."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar
from uuid import UUID

import msgspec

from domain.access import Actor
from domain.user import User

R = TypeVar("R")


class Command(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A wish, named by its imperative; `R` is what its handler answers with."""


class Query(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A question, which changes nothing; `R` is its answer."""


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """By what a repeat of a command is known: keyed hashes of its caller and key, and of what is asked for.

    `status` is what the interface answers when the command is carried out, and again to every repeat.
    """

    digest: bytes
    request: bytes
    status: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, when (UTC), and by which thread of cause and effect; stored with every event.

    Four are not stored: `repeat` marks a command that has its effect once, however often the caller sends
    it; `session` is the one whose access token was shown; `network` is the prefix of the caller's address,
    empty where it is not known; `position` is the one of the log that a list has to hold, where one is named.
    """

    actor: Actor
    at: datetime
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None = None
    request_id: str = ""
    traceparent: str = ""
    repeat: Repeat | None = None
    session: UUID | None = None
    network: str = ""
    position: int | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did: the user's version and the position of the log it reached.

    `visible` says whether the read models behind lists have reached it too, `stored` whether there was
    anything to store, and `replayed` which status the first answer had, where this is a repeat of it.
    `after` is the user at that version; None where this is a repeat.
    """

    user_id: UUID
    version: int
    position: int
    visible: bool = False
    stored: bool = True
    replayed: int | None = None
    after: User | None = None


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user as JSON, rendered already; `version` is None where only the public card is shown."""

    body: bytes
    version: int | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list: users as JSON, rendered already, and how many match in all.

    `next` is the cursor of the next page, empty where there is none or where pages go by offset only.
    `total_relation` says whether `total` is exact or the least that it can be; None where it always is exact.
    `position` is the one of the log that the page holds, None where nobody has asked for one.
    """

    users: list[bytes]
    total: int
    limit: int
    offset: int
    next: str = ""
    total_relation: Literal["eq", "gte"] | None = None
    position: int | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of tokens, in the form in which they are shown to the caller."""

    access_token: str
    refresh_token: str
    access_type: str = "Bearer"
