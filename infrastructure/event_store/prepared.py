"""A change, sealed and laid out as the append function takes it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from eventsourcing.persistence import StoredEvent

from application.messages import Context
from application.ports import Change, Recorded
from domain import errors
from domain.events import ErasureRequested
from domain.user import User
from infrastructure.event_store.keyring import Keyring, UserKey
from infrastructure.event_store.mapper import EventMapper

APPEND = """
SELECT outcome, detail, reached FROM append_events(
    %b::uuid[], %b::int4[], %b::int8[], %b::text[], %b::bytea[],
    %b::int4[], %b::text[], %b::bytea[], %b::bool[],
    %b::int4[], %b::text[], %b::int8[], %b::text[], %b::text[], %b::bool[], %b::uuid[],
    %b::int4[], %b::int4[], %b::bytea[],
    %b::int4[],
    %b::int4[], %b::bytea[], %b::bytea[], %b::int4[], %b::timestamptz[], %b::timestamptz[])"""
"""One call appends a batch; `parameters` makes its arguments."""

REMEMBERED_FOR = timedelta(hours=24)
"""How long a repeat of a command finds what became of the first."""


class NameChange(msgspec.Struct, frozen=True):
    kind: str
    digest: bytes
    claims: bool


class CredentialRow(msgspec.Struct, frozen=True):
    """What a login checks; of the sessions that a higher epoch ends, only `session` lives on."""

    secret_hash: str | None
    epoch: int
    status: str
    role: str
    verified: bool
    session: UUID | None = None


class RepeatRow(msgspec.Struct, frozen=True):
    """By what a repeat is known, and from when until when."""

    digest: bytes
    request: bytes
    status: int
    at: datetime
    expires_at: datetime


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """One command's rows, ready to be stored whole or not at all."""

    stream_id: UUID
    events: Sequence[StoredEvent]
    names: Sequence[NameChange] = ()
    credentials: CredentialRow | None = None
    new_key: UserKey | None = None
    forgets: bool = False
    repeat: RepeatRow | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What the append function answered for one command.

    `known`: these very bytes were stored before, which only a repeated call can bring about; `repeated`:
    something was stored for the same idempotency key, and nothing is stored now.
    """

    outcome: Literal["stored", "known", "conflict", "taken", "last_admin", "repeated", "old_epoch"]
    detail: str | None = None
    position: int | None = None


def prepare(change: Change, mapper: EventMapper, keyring: Keyring) -> Prepared:
    """Seal a change's events and work out the names and credentials that go with them."""
    before, after = change.before.user, change.after
    new_key = None if before.version else keyring.new_user_key(after.id)
    key = new_key or change.before.key
    context = change.context
    stored = [
        mapper.seal(
            Recorded(
                position=0,
                user_id=after.id,
                version=before.version + number,
                name=event.stored_name,
                event=event,
                event_id=uuid4(),
                actor=context.actor,
                command_id=context.command_id,
                correlation_id=context.correlation_id,
                causation_id=context.causation_id,
                request_id=context.request_id,
                traceparent=context.traceparent,
            ),
            key,
        )
        for number, event in enumerate(change.events, start=1)
    ]
    names = list(_name_changes(before, after, keyring))
    if change.first_admin:
        names.append(NameChange("first_admin", b"", True))
    return Prepared(
        stream_id=after.id,
        events=stored,
        names=names,
        credentials=_credentials(before, after, change),
        new_key=new_key,
        forgets=any(isinstance(event, ErasureRequested) for event in change.events),
        repeat=_repeat(context),
    )


def _repeat(context: Context) -> RepeatRow | None:
    if (repeat := context.repeat) is None:
        return None
    expires_at = context.at + REMEMBERED_FOR
    return RepeatRow(repeat.digest, repeat.request, repeat.status, context.at, expires_at)


def _name_changes(before: User, after: User, keyring: Keyring) -> list[NameChange]:
    changes: list[NameChange] = []
    for kind in ("email", "username"):
        old, new = getattr(before, kind), getattr(after, kind)
        if old == new:
            continue
        released = keyring.digest(kind, old) if old else None
        claimed = keyring.digest(kind, new) if new else None
        if released == claimed:
            continue
        if released:
            changes.append(NameChange(kind, released, False))
        if claimed:
            changes.append(NameChange(kind, claimed, True))
    return changes


def _credentials(before: User, after: User, change: Change) -> CredentialRow | None:
    def of(user: User) -> tuple[Any, ...]:
        return user.epoch, user.status, user.role, user.is_verified

    if before.version and of(before) == of(after) and change.secret_hash is None:
        return None
    return CredentialRow(
        change.secret_hash,
        after.epoch,
        after.status.value,
        after.role.value,
        after.is_verified,
        change.carried_session,
    )


def parameters(batch: Sequence[Prepared]) -> list[list[Any]]:
    """The arguments of APPEND for a batch, column by column."""
    commands = list(enumerate(batch, start=1))
    events = [event for item in batch for event in item.events]
    names = [(number, name) for number, item in commands for name in item.names]
    secrets = [(number, item.credentials) for number, item in commands if item.credentials]
    keys = [(number, item.new_key) for number, item in commands if item.new_key]
    repeats = [(number, item.repeat) for number, item in commands if item.repeat]
    return [
        [item.stream_id for item in batch],
        [len(item.events) for item in batch],
        [event.originator_version for event in events],
        [event.topic for event in events],
        [event.state for event in events],
        [number for number, _ in names],
        [name.kind for _, name in names],
        [name.digest for _, name in names],
        [name.claims for _, name in names],
        [number for number, _ in secrets],
        [row.secret_hash for _, row in secrets],
        [row.epoch for _, row in secrets],
        [row.status for _, row in secrets],
        [row.role for _, row in secrets],
        [row.verified for _, row in secrets],
        [row.session for _, row in secrets],
        [number for number, _ in keys],
        [key.epoch for _, key in keys],
        [key.wrapped for _, key in keys],
        [number for number, item in commands if item.forgets],
        [number for number, _ in repeats],
        [row.digest for _, row in repeats],
        [row.request for _, row in repeats],
        [row.status for _, row in repeats],
        [row.at for _, row in repeats],
        [row.expires_at for _, row in repeats],
    ]


def position_of(outcome: Outcome) -> int:
    """The position that an append reached. Raises the refusal that its outcome stands for."""
    if outcome.outcome in ("stored", "known"):
        assert outcome.position is not None
        return outcome.position
    if outcome.outcome in ("conflict", "old_epoch"):
        # Decided anew, a change is sealed under the epoch that holds now.
        raise errors.VersionConflict
    if outcome.outcome == "last_admin":
        raise errors.LastAdmin
    if outcome.outcome == "repeated":
        raise errors.KeyInUse
    raise {
        "email": errors.EmailTaken,
        "username": errors.UsernameTaken,
        "first_admin": errors.FirstAdminExists,
    }[outcome.detail or ""]
