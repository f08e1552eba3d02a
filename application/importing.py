"""Accounts that come from elsewhere: what one looks like, what keeps one out, and who brings them in.

Every source, a file or another service's database, yields `Offered` rows. Each becomes one `imported` event
with the id, the names, the hash, the times, the status and the role that the account had there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from domain.errors import Fault
from domain.events import Dialect, Imported
from domain.values import (
    MAX_NAME_CHARACTERS,
    Role,
    Status,
    check_email,
    check_metadata,
    check_name,
    check_picture,
    check_tags,
    unwritable,
)

MAX_HASH_CHARACTERS = 1024
MIN_YEAR, MAX_YEAR = 2, 9998

NOBODY = UUID(int=0)
"""No account may have it: the events of a service that is nobody's user carry it in other systems."""


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account, in the documented form: a line of NDJSON, a row of CSV, a row of a database.

    `secret_hash` is bcrypt's own form or a PHC string; without one the account has no secret, and its owner
    sets one by the mail that resets it. Times are RFC 3339.
    """

    id: UUID
    email: str
    username: str | None = None
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    private_metadata: dict[str, Any] = {}
    profile_picture: str = ""
    status: Literal["enabled", "disabled", "deleted"] = "enabled"
    role: Literal["user", "admin"] = "user"
    dialect: Dialect = "magistrala"
    auth_provider: str = ""
    created_at: datetime
    updated_at: datetime | None = None
    updated_by: str = ""
    verified_at: datetime | None = None
    secret_hash: str | None = None


def faults(account: Account, *, hash_flaw: Callable[[str], str | None]) -> Iterator[Fault]:
    """What keeps an account out. Names are kept as they are, so that old usernames need not meet our rule.

    `hash_flaw` says why no secret could be checked against a hash; None where one can.
    """
    if account.id == NOBODY:
        yield Fault("/id", "This id stands for nobody and cannot be an account's.")
    yield from check_email(account.email, "/email")
    if account.username is not None:
        yield from _username(account.username)
    for field, what in (("first_name", "first name"), ("last_name", "last name"), ("name", "name")):
        yield from check_name(getattr(account, field), f"/{field}", what=what)
    yield from check_tags(account.tags, "/tags")
    for field in ("metadata", "private_metadata"):
        for fault in check_metadata(getattr(account, field), f"/{field}"):
            # The keys on the way can be anybody's names.
            yield Fault(f"/{field}", fault.message)
    yield from check_picture(account.profile_picture, "/profile_picture")
    yield from check_name(account.auth_provider, "/auth_provider", what="provider's name")
    yield from check_name(account.updated_by, "/updated_by", what="name of who changed it last")
    for field in ("created_at", "updated_at", "verified_at"):
        time: datetime | None = getattr(account, field)
        if time is not None and not MIN_YEAR <= time.year <= MAX_YEAR:
            # A year further, and another time zone has no such date.
            yield Fault(f"/{field}", f"A time lies between the years {MIN_YEAR} and {MAX_YEAR}.")
    hashed = account.secret_hash
    if hashed is not None and len(hashed) > MAX_HASH_CHARACTERS:
        yield Fault("/secret_hash", f"A hash has at most {MAX_HASH_CHARACTERS} characters.")
    elif hashed is not None and (flaw := hash_flaw(hashed)):
        yield Fault("/secret_hash", flaw)


def _username(entered: str) -> Iterator[Fault]:
    if not entered:
        yield Fault("/username", "A username is not empty; an account may have none.")
    elif len(entered) > MAX_NAME_CHARACTERS:
        yield Fault("/username", f"A username has at most {MAX_NAME_CHARACTERS} characters.")
    elif "@" in entered:
        yield Fault("/username", "A username with '@' could be somebody else's email at a login.")
    elif problem := unwritable(entered):
        yield Fault("/username", f"The username {problem}.")


def imported(account: Account, at: datetime) -> Imported:
    """The one event that brings an account in, at a time."""
    return Imported(
        at=at,
        email=account.email,
        username=account.username,
        first_name=account.first_name,
        last_name=account.last_name,
        name=account.name,
        tags=account.tags,
        metadata=account.metadata,
        private_metadata=account.private_metadata,
        profile_picture=account.profile_picture,
        status=Status(account.status),
        role=Role(account.role),
        dialect=account.dialect,
        auth_provider=account.auth_provider,
        created_at=_utc(account.created_at),
        updated_at=_utc(account.updated_at) if account.updated_at else None,
        updated_by=account.updated_by,
        verified_at=_utc(account.verified_at) if account.verified_at else None,
    )


def _utc(time: datetime) -> datetime:
    # A time without a zone is UTC, as both originals stored it.
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What a source offers at one place (a line of a file, a row): an account, or why it cannot be read.

    `raw` is the row as it came, for the file of refused rows; None where it cannot be repeated. `unkept`
    names what the row has and no account can keep. `key` is the id as it stands there, whatever it is, where
    that is known even of a row that is no account.
    """

    place: int
    key: str = ""
    account: Account | None = None
    faults: tuple[Fault, ...] = ()
    raw: bytes | None = None
    unkept: tuple[str, ...] = ()


class Source(Protocol):
    """Where accounts come from. Read again, it offers the same rows at the same places."""

    @property
    def size(self) -> int | None:
        """How many rows there are, where that is known beforehand."""

    def offered(self, after: int = 0) -> Iterator[Offered]:
        """Every row behind a place, in order, in memory that does not grow. Raises SourceLost."""


class SourceLost(Exception):
    """The source went away in the middle; the text says what to do. Nothing that was taken is lost."""
