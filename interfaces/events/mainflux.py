"""Mainflux's events: all on `events.mainflux.users`, told apart by `operation`, one row per stored event.

Fields and their conditions are those of the original: a flat map, in which tags and metadata are text. What
it had no word for, a username, a role or a picture, is told as `user.update`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from domain.values import Status
from interfaces.events.old_forms import Moment, OldForm, Operation

SUBJECT = "events.mainflux.users"


def _update(name: str) -> Operation:
    return Operation(
        name=name,
        always=("updated_at", "updated_by", "status"),
        given=("id", "name", "tags", "identity", "metadata", "created_at"),
    )


_CREATE = Operation(
    name="create", always=("id", "status", "created_at"), given=("name", "tags", "metadata", "identity")
)
_UPDATE = _update("update")
_REMOVE = Operation(name="remove", always=("id", "status", "updated_at", "updated_by"))

OPERATIONS: Mapping[str, Operation | None] = {
    "users.registered.v1": _CREATE,
    "users.imported.v1": _CREATE,
    # There was no verification.
    "users.verified.v1": None,
    "users.verification_requested.v1": None,
    "users.profile_updated.v1": _UPDATE,
    "users.tags_changed.v1": _update("update_tags"),
    "users.picture_changed.v1": _UPDATE,
    "users.email_changed.v1": _update("update_identity"),
    "users.username_changed.v1": _UPDATE,
    "users.role_changed.v1": _UPDATE,
    "users.secret_changed.v1": _update("update_secret"),
    "users.password_reset_requested.v1": Operation(name="generate_reset_token", always=("email", "host")),
    "users.enabled.v1": _REMOVE,
    "users.disabled.v1": _REMOVE,
    "users.deleted.v1": _REMOVE,
    "users.restored.v1": _REMOVE,
    "users.erasure_requested.v1": None,
    "users.erased.v1": _REMOVE,
}


def _status(moment: Moment) -> str:
    # The only two words it had; an account that is gone can be used as little as a disabled one.
    return "enabled" if moment.user.status is Status.ENABLED and not moment.recorded.forgotten else "disabled"


VALUES: Mapping[str, Callable[[Moment], Any]] = {
    "id": lambda moment: moment.recorded.user_id,
    "status": _status,
    "name": lambda moment: moment.user.name,
    "tags": lambda moment: moment.user.tags and f"[{','.join(moment.user.tags)}]",
    "metadata": lambda moment: moment.user.metadata and msgspec.json.encode(moment.user.metadata).decode(),
    "identity": lambda moment: moment.user.email,
    "email": lambda moment: moment.user.email,
    "host": lambda moment: "",
    "created_at": lambda moment: moment.user.created_at,
    "updated_at": lambda moment: moment.recorded.event.at,
    "updated_by": lambda moment: moment.recorded.event.by or "",
}

MAINFLUX = OldForm(
    name="mainflux",
    subjects=SUBJECT,
    subject=lambda operation: SUBJECT,
    operations=OPERATIONS,
    resets=Operation(name="reset_secret"),
    values=VALUES,
    personal=frozenset({"name", "tags", "metadata", "identity", "email"}),
    payload_field=5,
)
