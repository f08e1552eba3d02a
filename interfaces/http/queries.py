"""The query strings that lists take, in both dialects, and how each becomes a question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from application.listing import Direction, Order, UserFilter
from application.paging import Paging
from application.queries.list_users import ListUsers
from application.queries.search_users import SearchUsers
from domain.errors import Fault
from domain.values import Role, Status, check_metadata
from interfaces.http.reading import EMPTY_COUNTS

MAX_LIMIT = 100
MAX_TEXT_CHARACTERS = 254
SHORTEST_SEARCH = 3

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT, description="How many users a page holds.")]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1, description="How many users are passed over.")]
Text = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_TEXT_CHARACTERS,
        description="Without regard to case: three characters or more match anywhere, fewer the beginning.",
    ),
]
Exact = Annotated[
    str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS, description="The whole value, without regard to case.")
]
Tag = Annotated[
    str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS, description="A tag that the user must carry.")
]
TagList = Annotated[
    str,
    msgspec.Meta(
        max_length=8192,
        description="Tags: all of them where a plus sign (%2B) parts them, any of them where a comma does.",
    ),
]
Metadata = Annotated[
    str, msgspec.Meta(max_length=8192, description="A JSON object that the user's metadata must contain.")
]
Moment = Annotated[
    str, msgspec.Meta(max_length=64, description="A time of RFC 3339; the bounds belong to the range.")
]
Cursor = Annotated[
    Annotated[str, msgspec.Meta(max_length=8192)] | None,
    msgspec.Meta(
        description="Where the page begins: from the Link header of the page before, or empty for the first "
        "page. With it, a total that would take long to count is cut short, and `total_relation` says so.",
        examples=[""],
        extra=EMPTY_COUNTS,
    ),
]
GoBool = Literal["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of which users, in which order."""

    limit: Limit = 10
    offset: Offset = 0
    cursor: Cursor = None
    order: Order = "updated_at"
    dir: Direction = "desc"
    status: Literal["enabled", "disabled", "deleted", "all"] = "enabled"
    role: Literal["user", "admin"] | None = None
    id: Text = ""
    email: Text = ""
    username: Text = ""
    first_name: Text = ""
    last_name: Text = ""
    name: Exact = ""
    identity: Exact = ""
    tag: Tag = ""
    tags: TagList = ""
    metadata: Metadata = ""
    created_from: Moment = ""
    created_to: Moment = ""
    only_total: GoBool = "false"

    def faults(self) -> Iterator[Fault]:
        yield from _cursor_faults(self.cursor, self.offset)
        for name in ("created_from", "created_to"):
            if (text := getattr(self, name)) and _moment(text, up=False) is None:
                yield Fault(f"/{name}", "Expected a time of RFC 3339, such as 2026-03-01T12:00:00Z.")
        try:
            metadata = _metadata(self.metadata)
        except ValueError:
            yield Fault("/metadata", "Expected a JSON object.")
        else:
            for fault in check_metadata(metadata, "/metadata"):
                yield Fault("/metadata", fault.message)

    def question(self) -> ListUsers:
        apart = "+" if "+" in self.tags else ","
        tags = tuple(tag for part in self.tags.split(apart) if (tag := part.strip()))
        filter = UserFilter(
            status=None if self.status == "all" else Status(self.status),
            role=Role(self.role) if self.role else None,
            id=self.id,
            email=self.email,
            username=self.username,
            first_name=self.first_name,
            last_name=self.last_name,
            name=self.name,
            identity=self.identity,
            all_tags=(*((self.tag,) if self.tag else ()), *(tags if apart == "+" else ())),
            any_tags=tags if apart == "," else (),
            metadata=_metadata(self.metadata) or {},
            created_from=_moment(self.created_from, up=True),
            created_to=_moment(self.created_to, up=False),
            order=self.order,
            direction=self.dir,
        )
        only_total = self.only_total[0] in "1tT"
        cursor = _cursor(self.cursor, self.offset)
        paging = Paging(limit=self.limit, offset=self.offset, cursor=cursor, only_total=only_total)
        return ListUsers(filter=filter, paging=paging)


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to search for; `order` and `dir` are taken from old clients and have no effect."""

    limit: Annotated[int, msgspec.Meta(ge=0, description=f"More than {MAX_LIMIT} counts as that.")] = 10
    offset: Offset = 0
    cursor: Cursor = None
    username: Annotated[Text, msgspec.Meta(examples=["ada"])] = ""
    first_name: Text = ""
    last_name: Text = ""
    id: Text = ""
    order: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS, description="Has no effect.")] = ""
    dir: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS, description="Has no effect.")] = ""

    def faults(self) -> Iterator[Fault]:
        yield from _cursor_faults(self.cursor, self.offset)
        if not (self.username or self.first_name or self.last_name or self.id):
            yield Fault("", "A search needs a username, a first_name, a last_name or an id.")
        for name in ("username", "id"):
            if 0 < len(getattr(self, name)) < SHORTEST_SEARCH:
                yield Fault(f"/{name}", f"A search takes at least {SHORTEST_SEARCH} characters here.")

    def question(self) -> SearchUsers:
        limit = min(self.limit, MAX_LIMIT)
        return SearchUsers(
            username=self.username,
            first_name=self.first_name,
            last_name=self.last_name,
            id=self.id,
            paging=Paging(limit=limit, offset=self.offset, cursor=_cursor(self.cursor, self.offset)),
        )


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a timeline."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 10
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class SecurityLogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a security log."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 10
    before: Annotated[
        int,
        msgspec.Meta(ge=0, le=2**62, description="The `next` of the page before; 0 is the first page."),
    ] = 0


def _cursor(cursor: str | None, offset: int) -> str | None:
    """Where an offset is given, an empty cursor says nothing."""
    return None if offset else cursor


def _cursor_faults(cursor: str | None, offset: int) -> Iterator[Fault]:
    if cursor and offset:
        yield Fault("/offset", "A cursor says where the page begins; an offset cannot too.")


def _metadata(text: str) -> dict[str, Any] | None:
    """The object that a text holds; None for null and for no text. Raises ValueError."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | None) if text else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError from error


def _moment(text: str, *, up: bool) -> datetime | None:
    """A time of RFC 3339 in UTC, or None; what is finer than a microsecond is rounded up or down."""
    if (found := _MOMENT.fullmatch(text)) is None:
        return None
    fraction = (found[2] or "").ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{found[1]}.{fraction[:6]}{found[3].replace('Z', '+00:00')}")
        if up and fraction[6:].strip("0"):
            moment += timedelta(microseconds=1)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
