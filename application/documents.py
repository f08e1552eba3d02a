"""The JSON of a user, as the contract has it: rendered when it changes, parsed to fold the next event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.user import User
from domain.values import Role, Status

ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""What the contract shows for a time that is not set, because typed clients must parse one."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    username: str = ""
    identity: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user as their own profile and admins see it; the order of the fields is the order on the wire."""

    id: UUID
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    private_metadata: dict[str, Any] = {}
    status: Status
    role: Role
    profile_picture: str = ""
    credentials: Credentials
    email: str = ""
    created_at: datetime
    updated_at: datetime
    updated_by: str = ""
    verified_at: datetime
    auth_provider: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user as strangers see it. Status, role and times are constants, as they were in the original."""

    id: UUID
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    metadata: dict[str, Any] = {}
    status: Status
    role: Role
    credentials: Credentials
    created_at: datetime
    updated_at: datetime
    verified_at: datetime


_PRIVATE = b'"private_metadata":'

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Document).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def render_document(user: User) -> bytes:
    return _encode(
        Document(
            id=user.id,
            first_name=user.first_name,
            last_name=user.last_name,
            name=user.name,
            tags=user.tags,
            metadata=user.metadata,
            private_metadata=user.private_metadata,
            status=user.status,
            role=user.role,
            profile_picture=user.profile_picture,
            credentials=Credentials(
                username=user.username or "",
                identity=user.email if user.dialect == "mainflux" else "",
            ),
            email=user.email,
            created_at=user.created_at or ZERO_TIME,
            updated_at=user.updated_at or ZERO_TIME,
            updated_by=user.updated_by,
            verified_at=user.verified_at or ZERO_TIME,
            auth_provider=user.auth_provider,
        )
    )


def without_private(document: bytes) -> bytes:
    """A document as programs get it that keep copies of users: what is private to this service left out."""
    if _PRIVATE not in document:
        return document
    fields = _fields(document)
    fields.pop("private_metadata", None)
    return _encode(fields)


def render_card(user: User) -> bytes:
    return _encode(
        Card(
            id=user.id,
            first_name=user.first_name,
            last_name=user.last_name,
            name=user.name,
            metadata=user.metadata,
            status=Status.ENABLED,
            role=Role.USER,
            credentials=Credentials(username=user.username or ""),
            created_at=ZERO_TIME,
            updated_at=ZERO_TIME,
            verified_at=ZERO_TIME,
        )
    )


def parse_document(document: bytes, version: int) -> User:
    """The user whose document this is. The epoch is not in it and stays 1: no document shows it."""
    shown = _decode(document)
    return User(
        id=shown.id,
        version=version,
        email=shown.email,
        username=shown.credentials.username or None,
        first_name=shown.first_name,
        last_name=shown.last_name,
        name=shown.name,
        tags=shown.tags,
        metadata=shown.metadata,
        private_metadata=shown.private_metadata,
        profile_picture=shown.profile_picture,
        status=shown.status,
        role=shown.role,
        dialect="mainflux" if shown.credentials.identity else "magistrala",
        auth_provider=shown.auth_provider,
        created_at=_unless_zero(shown.created_at),
        updated_at=_unless_zero(shown.updated_at),
        updated_by=shown.updated_by,
        verified_at=_unless_zero(shown.verified_at),
    )


def _unless_zero(time: datetime) -> datetime | None:
    return None if time == ZERO_TIME else time
