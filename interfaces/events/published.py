"""The published language: which events the world hears of, under which names, and what it is told.

One row per stored event name. Names, types and fields are literals of their own: the code and the stored
names behind them may change, what a consumer relies on may only gain. Each message is a CloudEvent 1.0; the
forms of the services before this one stand beside it, in `magistrala.py` and `mainflux.py`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from application.ports import Recorded
from domain import events
from domain.events import Event
from interfaces.events.cloudevents import CloudEvent, binary, envelope, structured
from interfaces.events.telling import Mode, Pii, Telling


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """How one event is told: its bare name, its versioned type, and the fields of its data.

    `plain` fields are always told, `personal` ones only where that is allowed. `named` are those whose
    names stand in `changed` where the event gives them a value; `private_metadata` is told by name alone.
    `begins` marks the events with which an account begins: they carry every field, given or not.
    """

    name: str
    type: str
    plain: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    constant: dict[str, str] = {}
    begins: bool = False
    outlives_the_key: bool = False


_ACCOUNT = ("email", "username", "first_name", "last_name", "name", "tags", "metadata", "profile_picture")
_NAMES = ("first_name", "last_name", "name", "metadata")

MESSAGES: dict[str, Message | None] = {
    "users.registered.v1": Message(
        name="registered",
        type="users.registered.v1",
        plain=("status", "role", "auth_provider"),
        personal=_ACCOUNT,
        named=(*_ACCOUNT, "private_metadata"),
        begins=True,
    ),
    "users.imported.v1": Message(
        name="imported",
        type="users.imported.v1",
        plain=("status", "role", "auth_provider", "created_at", "updated_at", "verified_at"),
        personal=_ACCOUNT,
        named=(*_ACCOUNT, "private_metadata"),
        begins=True,
    ),
    "users.verified.v1": Message(name="verified", type="users.verified.v1", personal=("email",)),
    "users.profile_updated.v1": Message(
        name="profile_updated",
        type="users.profile_updated.v1",
        personal=_NAMES,
        named=(*_NAMES, "private_metadata"),
    ),
    "users.tags_changed.v1": Message(
        name="tags_changed", type="users.tags_changed.v1", personal=("tags",), named=("tags",)
    ),
    "users.picture_changed.v1": Message(
        name="picture_changed",
        type="users.picture_changed.v1",
        personal=("profile_picture",),
        named=("profile_picture",),
    ),
    "users.email_changed.v1": Message(
        name="email_changed", type="users.email_changed.v1", personal=("email",), named=("email",)
    ),
    "users.username_changed.v1": Message(
        name="username_changed", type="users.username_changed.v1", personal=("username",), named=("username",)
    ),
    "users.role_changed.v1": Message(
        name="role_changed", type="users.role_changed.v1", plain=("role",), named=("role",)
    ),
    "users.secret_changed.v1": Message(
        name="secret_changed", type="users.secret_changed.v1", plain=("way",)
    ),
    "users.password_reset_requested.v1": Message(
        name="password_reset_requested", type="users.password_reset_requested.v1"
    ),
    "users.verification_requested.v1": Message(
        name="verification_requested", type="users.verification_requested.v1"
    ),
    "users.enabled.v1": Message(
        name="enabled", type="users.enabled.v1", constant={"status": "enabled"}
    ),
    "users.disabled.v1": Message(
        name="disabled", type="users.disabled.v1", constant={"status": "disabled"}
    ),
    "users.deleted.v1": Message(
        name="deleted", type="users.deleted.v1", constant={"status": "deleted"}
    ),
    "users.restored.v1": Message(
        name="restored", type="users.restored.v1", constant={"status": "enabled"}
    ),
    # A step on the way; what the world must know is that the user is gone, and `erased` says it.
    "users.erasure_requested.v1": None,
    "users.erased.v1": Message(
        name="erased", type="users.erased.v1", constant={"status": "erased"}, outlives_the_key=True
    ),
}  # fmt: skip

_OUTLIVING = frozenset(told.name for told in MESSAGES.values() if told and told.outlives_the_key)


def message_of(recorded: Recorded) -> Message | None:
    """How an event is told, or None where the world does not hear of it.

    Of a user whose key was destroyed nothing is told but that they are erased: a message without its
    personal fields would look like a change to empty ones.
    """
    message = MESSAGES[recorded.event.stored_name]
    if message is None or (recorded.forgotten and not message.outlives_the_key):
        return None
    return message


def subject_of(recorded: Recorded, shards: int = 0) -> str:
    """The subject on the bus: users.<user id>.<bare name>, or users.<shard>.<bare name> where there are
    shards. The event must be one that is told."""
    place = shard_of(recorded.user_id, shards) if shards else recorded.user_id
    return f"users.{place}.{_told(recorded).name}"


def shard_of(user_id: UUID, shards: int) -> int:
    """Which of so many shards a user belongs to: the last four bytes of the id, modulo their number."""
    return int.from_bytes(user_id.bytes[-4:]) % shards


def outlives_the_key(subject: str) -> bool:
    """Whether what is published under a subject may stay when its user is forgotten."""
    return subject.rpartition(".")[2] in _OUTLIVING


def tell(recorded: Recorded, pii: Pii = "full", mode: Mode = "structured", shards: int = 0) -> Telling:
    """The message, ready for the bus. The event must be one that is told."""
    event = _event(recorded, pii)
    body, headers = binary(event) if mode == "binary" else structured(event)
    return Telling(str(recorded.event_id), subject_of(recorded, shards), body, headers)


def render(recorded: Recorded, pii: Pii = "full") -> bytes:
    """The bytes of the message in structured mode. The event must be one that is told."""
    return structured(_event(recorded, pii))[0]


def _event(recorded: Recorded, pii: Pii) -> CloudEvent:
    message = _told(recorded)
    return envelope(recorded, message.type, _data(message, recorded, pii))


def _told(recorded: Recorded) -> Message:
    message = MESSAGES[recorded.event.stored_name]
    assert message is not None, f"{recorded.event.stored_name} is not told to the world"
    return message


def _data(message: Message, recorded: Recorded, pii: Pii) -> dict[str, Any]:
    event = recorded.event
    data: dict[str, Any] = {"user_id": recorded.user_id, **message.constant}
    for field in message.plain if pii == "none" else message.plain + message.personal:
        if (value := getattr(event, field)) is not None:
            data[field] = value
    if message.named:
        data["changed"] = [field for field in message.named if _gives(message, event, field)]
    return data


def _gives(message: Message, event: Event, field: str) -> bool:
    value = getattr(event, field)
    # An account begins empty, so an empty value is no change; later on it is one: it clears the field.
    return bool(value) if message.begins else value is not None


def untold() -> set[str]:
    """The stored names of the domain that have no row here."""
    return {event.stored_name for event in events.EVENTS} - MESSAGES.keys()
