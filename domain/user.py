"""The state of a user and how each event changes it. History always loads: nothing here refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain import events
from domain.events import Dialect, Event
from domain.values import Role, Status


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user after `version` events.

    `epoch` counts the events that end every session of the user; tokens carry the epoch they were
    issued under and are worth nothing under a later one.
    """

    id: UUID
    version: int = 0
    epoch: int = 1
    email: str = ""
    username: str | None = None
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    private_metadata: dict[str, Any] = {}
    profile_picture: str = ""
    status: Status = Status.ENABLED
    role: Role = Role.USER
    dialect: Dialect = "magistrala"
    auth_provider: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    email_changed_at: datetime | None = None
    updated_by: str = ""
    verified_at: datetime | None = None

    @property
    def exists(self) -> bool:
        return self.version > 0 and self.status is not Status.ERASED

    @property
    def is_verified(self) -> bool:
        return self.verified_at is not None


def evolve(user: User, event: Event) -> User:
    """The user after one more event."""
    return _EVOLVERS[type(event)](user, event)


def fold(user_id: UUID, history: Iterable[Event]) -> User:
    """The user that a whole history describes; version 0 where there is none."""
    user = User(id=user_id)
    for event in history:
        user = evolve(user, event)
    return user


def _touched(user: User, event: Event, **changes: Any) -> User:
    return replace(
        user,
        version=user.version + 1,
        updated_at=event.at,
        updated_by=str(event.by) if event.by else "",
        **changes,
    )


def _begin(user: User, event: events.Profile, **more: Any) -> User:
    return User(
        id=user.id,
        version=user.version + 1,
        email=event.email,
        username=event.username,
        first_name=event.first_name,
        last_name=event.last_name,
        name=event.name,
        tags=event.tags,
        metadata=event.metadata,
        private_metadata=event.private_metadata,
        profile_picture=event.profile_picture,
        status=event.status,
        role=event.role,
        dialect=event.dialect,
        auth_provider=event.auth_provider,
        **more,
    )


def _registered(user: User, event: events.Registered) -> User:
    return _begin(user, event, created_at=event.at)


def _imported(user: User, event: events.Imported) -> User:
    return _begin(
        user,
        event,
        created_at=event.created_at,
        updated_at=event.updated_at,
        updated_by=event.updated_by,
        verified_at=event.verified_at,
    )


def _verified(user: User, event: events.Verified) -> User:
    return replace(user, version=user.version + 1, verified_at=event.at)


def _profile_updated(user: User, event: events.ProfileUpdated) -> User:
    fields = ("first_name", "last_name", "name", "metadata", "private_metadata")
    changed = {field: value for field in fields if (value := getattr(event, field)) is not None}
    return _touched(user, event, **changed)


def _role_changed(user: User, event: events.RoleChanged) -> User:
    demoted = user.role is Role.ADMIN and event.role is not Role.ADMIN
    return _touched(user, event, role=event.role, epoch=user.epoch + demoted)


def _ended(status: Status) -> Callable[[User, Any], User]:
    return lambda user, event: _touched(user, event, status=status, epoch=user.epoch + 1)


def _returned(user: User, event: Event) -> User:
    return _touched(user, event, status=Status.ENABLED)


def _erasure_requested(user: User, event: Event) -> User:
    return User(
        id=user.id,
        version=user.version + 1,
        epoch=user.epoch + 1,
        status=Status.ERASED,
        created_at=user.created_at,
        updated_at=event.at,
    )


_EVOLVERS: dict[type[Event], Callable[[User, Any], User]] = {
    events.Registered: _registered,
    events.Imported: _imported,
    events.Verified: _verified,
    events.ProfileUpdated: _profile_updated,
    events.TagsChanged: lambda user, event: _touched(user, event, tags=event.tags),
    events.PictureChanged: lambda user, event: _touched(user, event, profile_picture=event.profile_picture),
    events.EmailChanged: lambda user, event: _touched(
        user,
        event,
        email=event.email,
        verified_at=None,
        epoch=user.epoch + 1,
        # Only by whoever holds the account; what an admin decides is decided.
        email_changed_at=event.at if event.by == user.id else None,
    ),
    events.UsernameChanged: lambda user, event: _touched(user, event, username=event.username),
    events.RoleChanged: _role_changed,
    events.SecretChanged: lambda user, event: _touched(user, event, epoch=user.epoch + 1),
    events.PasswordResetRequested: lambda user, event: replace(user, version=user.version + 1),
    events.VerificationRequested: lambda user, event: replace(user, version=user.version + 1),
    events.Enabled: _returned,
    events.Disabled: _ended(Status.DISABLED),
    events.Deleted: _ended(Status.DELETED),
    events.Restored: _returned,
    events.ErasureRequested: _erasure_requested,
    events.Erased: lambda user, event: replace(user, version=user.version + 1, updated_at=event.at),
}
