"""The rules: pure functions from a user and a wish to the events that follow, or to a refusal.

Each returns the events to append; an empty list says that the wish is fulfilled already. `by` is who
asks, `at` is when (UTC).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from domain import events
from domain.access import Actor, require_admin, require_self_or_admin
from domain.errors import AccountDeleted, AdminOnly, Conflict, Forbidden, NotFound, StatusAlreadySet
from domain.events import Event
from domain.user import User
from domain.values import Role, Status


def register(new: events.Registered, *, by: Actor, self_register: bool) -> list[Event]:
    """Anyone may register a plain, enabled account where that is allowed; anything else takes an admin."""
    if not self_register:
        require_admin(by)
    if (new.role is Role.ADMIN or new.status is not Status.ENABLED) and not by.is_admin:
        raise AdminOnly("Only an admin may register an admin or a disabled account.")
    return [new]


def update_profile(user: User, wish: events.ProfileUpdated, *, by: Actor) -> list[Event]:
    """An empty name and an absent field leave what is there; an empty object clears metadata."""
    _may_change(user, by)
    changed: dict[str, Any] = {
        field: value
        for field in ("first_name", "last_name", *(("name",) if user.dialect == "mainflux" else ()))
        if (value := getattr(wish, field)) and value != getattr(user, field)
    } | {
        field: value
        for field in ("metadata", "private_metadata")
        if (value := getattr(wish, field)) is not None and not _same_json(value, getattr(user, field))
    }
    return [events.ProfileUpdated(by=wish.by, at=wish.at, **changed)] if changed else []


def change_tags(user: User, tags: list[str] | None, *, by: Actor, at: datetime) -> list[Event]:
    _may_change(user, by)
    if tags is None or tags == user.tags:
        return []
    return [events.TagsChanged(by=by.id, at=at, tags=tags)]


def change_picture(user: User, picture: str | None, *, by: Actor, at: datetime) -> list[Event]:
    _may_change(user, by)
    if picture is None or picture == user.profile_picture:
        return []
    return [events.PictureChanged(by=by.id, at=at, profile_picture=picture)]


def change_email(user: User, email: str, *, by: Actor, at: datetime) -> list[Event]:
    _may_change(user, by)
    return [events.EmailChanged(by=by.id, at=at, email=email)] if email != user.email else []


def change_username(user: User, username: str, *, by: Actor, at: datetime) -> list[Event]:
    _may_change(user, by)
    return [events.UsernameChanged(by=by.id, at=at, username=username)] if username != user.username else []


def change_role(user: User, role: Role, *, by: Actor, at: datetime) -> list[Event]:
    """Only admins; that one enabled admin stays is guarded where the events are appended."""
    require_admin(by)
    _may_change(user, by)
    return [events.RoleChanged(by=by.id, at=at, role=role)] if role is not user.role else []


def change_secret(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Only the user, who has just shown the old secret; an admin cannot set somebody's secret."""
    if by.id != user.id:
        raise Forbidden("Only the user may change the secret.")
    _may_change(user, by)
    return [events.SecretChanged(by=by.id, at=at)]


def enable(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """An admin's act: nobody who was shut out lets themselves in. A deleted account is restored by it."""
    require_admin(by)
    _must_exist(user)
    if user.status is Status.ENABLED:
        raise StatusAlreadySet
    if by.id == user.id:
        raise Forbidden("Nobody who was shut out lets themselves in.")
    if user.status is Status.DELETED:
        return [events.Restored(by=by.id, at=at)]
    return [events.Enabled(by=by.id, at=at)]


def disable(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Everyone may disable themselves, an admin anyone."""
    _may_change(user, by)
    if user.status is Status.DISABLED:
        raise StatusAlreadySet
    return [events.Disabled(by=by.id, at=at)]


def delete(user: User, *, by: Actor, at: datetime) -> list[Event]:
    """Everyone may delete their own account, an admin anyone's; names stay taken while the grace lasts."""
    require_self_or_admin(by, user.id)
    _must_exist(user)
    if user.status is Status.DELETED:
        raise StatusAlreadySet
    _may_change(user, by)
    return [events.Deleted(by=by.id, at=at)]


def erase(user: User, reason: str, *, by: Actor, at: datetime) -> list[Event]:
    """Forget a user for good, whatever the status; nobody but an admin or an operator may."""
    require_admin(by)
    _must_exist(user)
    return [events.ErasureRequested(by=by.id, at=at, reason=reason)]


def sweep(
    user: User, status: Status, closed_at: datetime | None, before: datetime, *, by: Actor, at: datetime
) -> list[Event]:
    """Erase an account that has had a status since before a time; one that is back by now stays."""
    if user.status is not status or closed_at is None or closed_at >= before:
        return []
    return erase(user, status.value, by=by, at=at)


def _must_exist(user: User) -> None:
    if not user.exists:
        raise NotFound


def _may_change(user: User, by: Actor) -> None:
    # Whether somebody else's id exists is told to admins only.
    require_self_or_admin(by, user.id)
    _must_exist(user)
    if user.status is Status.DELETED:
        raise AccountDeleted
    if user.status is not Status.ENABLED and (by.id == user.id or not by.is_admin):
        raise Conflict("The account is disabled; only another, an admin, may change it.")


def _same_json(one: Any, other: Any) -> bool:
    # Python's == takes true, 1 and 1.0 for one value; JSON does not.
    def encode(value: Any) -> bytes:
        return msgspec.json.encode(value, order="deterministic")

    return encode(one) == encode(other)
