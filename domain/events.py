"""What has happened to users: the events, their literal stored names, what in them is personal.

A name and the meaning of its fields never change once an event is stored. A new meaning is a new
name with the next version, and an upcaster from the old one (`infrastructure.event_store.mapper`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec

from domain.values import Role, Status

PERSONAL = msgspec.Meta(extra={"personal": True})
"""Marks a field that is sealed with the user's own key before it is stored."""

Dialect = Literal["magistrala", "mainflux"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to one user, `by` whom (None: nobody signed in) and `at` when (UTC).

    `by` and `at` are stored in the envelope, the other fields as the event's own data.
    """

    stored_name: ClassVar[str]
    by: UUID | None = None
    at: datetime


class Profile(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The fields that an account begins with, registered here or brought from elsewhere."""

    email: Annotated[str, PERSONAL] = ""
    username: Annotated[str, PERSONAL] | None = None
    first_name: Annotated[str, PERSONAL] = ""
    last_name: Annotated[str, PERSONAL] = ""
    name: Annotated[str, PERSONAL] = ""
    tags: Annotated[list[str], PERSONAL] = []
    metadata: Annotated[dict[str, Any], PERSONAL] = {}
    private_metadata: Annotated[dict[str, Any], PERSONAL] = {}
    profile_picture: Annotated[str, PERSONAL] = ""
    status: Status = Status.ENABLED
    role: Role = Role.USER
    dialect: Dialect = "magistrala"
    auth_provider: str = ""


class Registered(Profile, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.registered.v1"


class Imported(Profile, frozen=True, kw_only=True, omit_defaults=True):
    """An account that comes from another service, with the times it had there."""

    stored_name = "users.imported.v1"
    created_at: datetime
    updated_at: datetime | None = None
    updated_by: str = ""
    verified_at: datetime | None = None


class Verified(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The user has shown that this email reaches them."""

    stored_name = "users.verified.v1"
    email: Annotated[str, PERSONAL] = ""


class ProfileUpdated(Event, frozen=True, kw_only=True, omit_defaults=True):
    """New values of the named fields; None means unchanged, an empty object means cleared."""

    stored_name = "users.profile_updated.v1"
    first_name: Annotated[str, PERSONAL] | None = None
    last_name: Annotated[str, PERSONAL] | None = None
    name: Annotated[str, PERSONAL] | None = None
    metadata: Annotated[dict[str, Any], PERSONAL] | None = None
    private_metadata: Annotated[dict[str, Any], PERSONAL] | None = None


class TagsChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.tags_changed.v1"
    tags: Annotated[list[str], PERSONAL] = []


class PictureChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.picture_changed.v1"
    profile_picture: Annotated[str, PERSONAL] = ""


class EmailChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.email_changed.v1"
    email: Annotated[str, PERSONAL] = ""


class UsernameChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.username_changed.v1"
    username: Annotated[str, PERSONAL] = ""


class RoleChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.role_changed.v1"
    role: Role


class SecretChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A new secret holds. Its hash is not here and never was; `way` tells how it came about."""

    stored_name = "users.secret_changed.v1"
    way: Literal["changed", "reset"] = "changed"


class PasswordResetRequested(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody asked for a link to set a new secret; it goes to the email of the account."""

    stored_name = "users.password_reset_requested.v1"


class VerificationRequested(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The user asked for a link to verify the email."""

    stored_name = "users.verification_requested.v1"


class Enabled(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.enabled.v1"


class Disabled(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.disabled.v1"


class Deleted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The account is closed; its names stay taken and an admin can restore it while its grace lasts."""

    stored_name = "users.deleted.v1"


class Restored(Event, frozen=True, kw_only=True, omit_defaults=True):
    stored_name = "users.restored.v1"


class ErasureRequested(Event, frozen=True, kw_only=True, omit_defaults=True):
    """From here on the user's personal data is to be forgotten; the key is destroyed with this event.

    `reason` is one word: the status whose grace is over, or what an operator gave, such as a ticket's number.
    """

    stored_name = "users.erasure_requested.v1"
    reason: str = ""


class Erased(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing personal of this user is left anywhere."""

    stored_name = "users.erased.v1"


EVENTS: tuple[type[Event], ...] = (
    Registered,
    Imported,
    Verified,
    ProfileUpdated,
    TagsChanged,
    PictureChanged,
    EmailChanged,
    UsernameChanged,
    RoleChanged,
    SecretChanged,
    PasswordResetRequested,
    VerificationRequested,
    Enabled,
    Disabled,
    Deleted,
    Restored,
    ErasureRequested,
    Erased,
)


def personal_fields(event: type[Event]) -> frozenset[str]:
    """The names of the fields of an event that are sealed before they are stored."""
    hints = msgspec.inspect.type_info(event)
    assert isinstance(hints, msgspec.inspect.StructType)
    return frozenset(f.name for f in hints.fields if _is_personal(f.type))


def _is_personal(hint: msgspec.inspect.Type) -> bool:
    if isinstance(hint, msgspec.inspect.UnionType):
        return any(_is_personal(part) for part in hint.types)
    return isinstance(hint, msgspec.inspect.Metadata) and bool((hint.extra or {}).get("personal"))
