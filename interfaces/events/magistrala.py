"""Magistrala's events: `events.magistrala.user.<operation>`, one row per stored event.

Fields, their order and their conditions are those of the original; secrets and private metadata are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interfaces.events.old_forms import Moment, OldForm, Operation

_BY = ("token_type", "super_admin")
_TOUCHED = ("id", "updated_at", "updated_by", *_BY)
_USER = ("first_name", "last_name", "tags", "username", "email")


def _update(name: str) -> Operation:
    return Operation(name=name, always=(*_TOUCHED, "status", "metadata"), given=(*_USER, "created_at"))


def _turn(name: str) -> Operation:
    return Operation(name=name, always=("id", "status", "updated_at", "updated_by", *_BY))


_CREATE = Operation(
    name="create", always=("id", "status", "created_at", *_BY), given=(*_USER[:3], "metadata", *_USER[3:])
)
_DELETE = Operation(name="delete", always=("id", *_BY))

OPERATIONS: Mapping[str, Operation | None] = {
    "users.registered.v1": _CREATE,
    "users.imported.v1": _CREATE,
    "users.verified.v1": Operation(name="verify_email", always=("email", "user_id", "verified_at")),
    "users.profile_updated.v1": _update("update"),
    "users.tags_changed.v1": _update("update_tags"),
    "users.picture_changed.v1": Operation(
        name="update_profile_picture", always=_TOUCHED, given=("profile_picture",)
    ),
    "users.email_changed.v1": _update("update_email"),
    "users.username_changed.v1": Operation(
        name="update_username", always=_TOUCHED, given=("first_name", "last_name", "username")
    ),
    # The original did not say which role.
    "users.role_changed.v1": _update("update_role"),
    "users.secret_changed.v1": _update("update_secret"),
    "users.password_reset_requested.v1": Operation(
        name="send_password_reset", always=("host", "email", "user")
    ),
    "users.verification_requested.v1": Operation(name="send_verification", always=("user_id", "token_type")),
    "users.enabled.v1": _turn("enable"),
    "users.disabled.v1": _turn("disable"),
    "users.deleted.v1": _DELETE,
    "users.restored.v1": _turn("enable"),
    "users.erasure_requested.v1": None,
    # The original told nobody; a consumer that never hears of it keeps the user for ever.
    "users.erased.v1": _DELETE,
}

VALUES: Mapping[str, Callable[[Moment], Any]] = {
    "id": lambda moment: moment.recorded.user_id,
    "user_id": lambda moment: moment.recorded.user_id,
    "status": lambda moment: moment.user.status,
    "first_name": lambda moment: moment.user.first_name,
    "last_name": lambda moment: moment.user.last_name,
    "tags": lambda moment: moment.user.tags,
    "metadata": lambda moment: moment.user.metadata,
    "username": lambda moment: moment.user.username,
    "email": lambda moment: moment.user.email,
    "profile_picture": lambda moment: moment.user.profile_picture,
    "created_at": lambda moment: moment.user.created_at,
    "updated_at": lambda moment: moment.recorded.event.at,
    "updated_by": lambda moment: moment.recorded.event.by or "",
    "verified_at": lambda moment: moment.recorded.event.at,
    # Personal access tokens, the original's other kind, are not kept.
    "token_type": lambda moment: "access token",
    "super_admin": lambda moment: moment.recorded.actor.is_admin,
    # Empty in the original too.
    "host": lambda moment: "",
    "user": lambda moment: "",
}

MAGISTRALA = OldForm(
    name="magistrala",
    subjects="events.magistrala.user.>",
    subject=lambda operation: f"events.magistrala.user.{operation.name}",
    operations=OPERATIONS,
    resets=Operation(name="reset_secret"),
    values=VALUES,
    personal=frozenset({*_USER, "metadata", "profile_picture"}),
    payload_field=6,
    has_request_id=True,
)
