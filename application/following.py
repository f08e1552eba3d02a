"""Goes on with accounts of another service while they change there: what becomes of a change, and what not.

An account that was changed here since it came is not touched again: what was done here wins, and is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from application.importing import Account, imported
from application.ports import Recorded
from domain import events
from domain.events import Event
from domain.user import User, evolve
from domain.values import Status

FOLLOWED: Final = UUID("6f1d5c0e-8f0b-4d2c-9a55-0f7c2f6d3b10")
"""The correlation of every change that was made there and followed here: by it they are known later on."""

_CHANGE_NOTHING: Final = (events.Verified, events.PasswordResetRequested, events.VerificationRequested)


class FollowWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Follow the table of a database (`dsn`), looking every so many seconds.

    It ends once nothing has changed there for `until_quiet` seconds; None: when somebody ends it.
    `anew` compares every account, also those that nothing has been heard of.
    """

    dsn: str
    dialect: str
    every: float = 5.0
    until_quiet: float | None = None
    anew: bool = False


class Notice(msgspec.Struct, frozen=True):
    """Something that was not followed: the id there, and why, without anything personal."""

    id: str
    why: str


class Followed(msgspec.Struct, kw_only=True):
    """How many accounts were looked at for a change, have come, were changed, were closed, and were left."""

    looked_at: int = 0
    imported: int = 0
    changed: int = 0
    closed: int = 0
    left: int = 0


class CannotFollow(Exception):
    """Nothing was done, or nothing more can be; the text says what to do."""


class Following(Protocol):
    def follow(
        self, wanted: FollowWanted, notice: Callable[[Notice], None], moved: Callable[[Followed], None]
    ) -> Followed:
        """Follow until it is quiet, or until a signal. Raises CannotFollow, SourceLost and Unavailable."""


def beginning(account: Account, at: datetime) -> User:
    """The account as it will be here."""
    return evolve(User(id=account.id), imported(account, at))


def changed_here(recorded: Sequence[Recorded]) -> bool:
    """Whether anything but the import and what was followed has changed the user of a history."""
    return not isinstance(recorded[0].event, events.Imported) or any(
        one.correlation_id != FOLLOWED and not isinstance(one.event, _CHANGE_NOTHING) for one in recorded[1:]
    )


def differences(user: User, account: Account, at: datetime) -> Iterator[Event]:
    """The events after which a user is what the account is there, at the time of the change there."""
    there = beginning(account, at)
    if user.status is Status.DELETED and there.status is not Status.DELETED:
        yield events.Restored(at=at)
        user = evolve(user, events.Restored(at=at))
    if there.email != user.email:
        yield events.EmailChanged(at=at, email=there.email)
        user = evolve(user, events.EmailChanged(at=at, email=there.email))
    if there.verified_at is not None and not user.is_verified:
        yield events.Verified(at=there.verified_at, email=there.email)
    if there.username is not None and there.username != user.username:
        yield events.UsernameChanged(at=at, username=there.username)
    if changed := _profile(user, there):
        yield events.ProfileUpdated(at=at, **changed)
    if there.tags != user.tags:
        yield events.TagsChanged(at=at, tags=there.tags)
    if there.profile_picture != user.profile_picture:
        yield events.PictureChanged(at=at, profile_picture=there.profile_picture)
    if there.role is not user.role:
        yield events.RoleChanged(at=at, role=there.role)
    if there.status is not user.status:
        yield _CLOSING[there.status](at=at)


def staying(recorded: Sequence[Recorded], user: User, account: Account) -> Iterator[str]:
    """What of a user stays different from the account there, and what to do about it.

    No event takes these away from a user. `user` is what the history and all differences come to.
    """
    if account.username is None and user.username:
        yield (
            "/username: It has none there any more, and keeps the one it had here. Give it another one "
            "there, or have an admin here do so."
        )
    if account.auth_provider != user.auth_provider:
        yield "/auth_provider: Another one is named there than when it came, and here that one stays."
    verified_here = any(
        isinstance(one.event, events.Verified) and one.correlation_id != FOLLOWED for one in recorded
    )
    if account.verified_at is None and user.is_verified and not verified_here:
        yield "/verified_at: Its email is not verified there any more, and stays verified here."


_CLOSING: Final[dict[Status, Callable[..., Event]]] = {
    Status.ENABLED: events.Enabled,
    Status.DISABLED: events.Disabled,
    Status.DELETED: events.Deleted,
}


def _profile(user: User, there: User) -> dict[str, Any]:
    fields = ("first_name", "last_name", "name", "metadata", "private_metadata")
    return {
        field: getattr(there, field)
        for field in fields
        if _json(getattr(there, field)) != _json(getattr(user, field))
    }


def _json(value: Any) -> bytes:
    # Python's == takes true, 1 and 1.0 for one value; JSON does not.
    return msgspec.json.encode(value, order="deterministic")
