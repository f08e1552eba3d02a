"""Show everything that is held on one user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.documents import Document
from application.holdings import Held, HeldMail, HeldSession
from application.limits import limits
from application.messages import Context, Query
from application.ports import Ports, Recorded, SecurityFact
from application.security import SecurityEntry
from application.throttling import count_each
from domain.access import Actor, require_self_or_admin
from domain.errors import NotFound
from domain.user import User, evolve, fold

ENTRIES = 1_000
"""Entries of the security log that are read at once."""

_KINDS = {"2a": "bcrypt", "2b": "bcrypt", "2y": "bcrypt"}


class Happened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event; `by` says what they were who did it, and not who: that is not the user's to know."""

    version: int
    at: datetime
    event: str
    by: str
    data: dict[str, Any] = {}
    request_id: str = ""


class SentMail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mail and what became of it: `due`, `sent` or `dropped`."""

    kind: str
    to: str
    state: str
    attempts: int
    created_at: datetime
    handed_over_at: datetime | None = None


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether there is a hash of a secret, and of which kind."""

    set: bool
    kind: str = ""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, with the security log a part at a time, newest first."""

    at: datetime
    position: int
    user: Document
    secret: Secret
    history: Sequence[Happened]
    sessions: Sequence[HeldSession]
    mails: Sequence[SentMail]
    held: Held
    security_log: AsyncIterator[Sequence[SecurityEntry]]


class ExportUser(Query[Export], frozen=True, kw_only=True):
    """Show everything that is held on a user, for the user and for admins (GDPR articles 15 and 20).

    Each export stands in the user's security log, its own included. After five within an hour each further
    one by the same caller waits.
    """

    user_id: UUID


async def handle(query: ExportUser, context: Context, ports: Ports) -> Export:
    user_id = query.user_id
    require_self_or_admin(context.actor, user_id)
    timeline = await ports.log.timeline(user_id)
    user = fold(user_id, (recorded.event for recorded in timeline))
    if not user.exists:
        raise NotFound
    # What one admin reads of many users is no user's doing, and holds up nobody else's export.
    subject = f"{user_id} {context.actor.id}"
    counted = limits("export", replace(context, network=""), account=subject, user_id=user_id)
    await count_each(counted, context, ports)
    await ports.security_log.record(_fact(user_id, context))
    held = await ports.holdings.of(user_id)
    sessions = {session.id: session for session in held.sessions}
    for session in await ports.sessions.of(user_id, context.at):
        sessions.setdefault(session.id, HeldSession(id=session.id, description=session.description))
    return Export(
        at=context.at,
        position=timeline[-1].position,
        user=msgspec.json.decode(ports.directory.render(user).document, type=Document),
        secret=await _secret(user_id, ports),
        history=[_happened(recorded) for recorded in timeline],
        sessions=list(sessions.values()),
        mails=_sent(held.mails, timeline),
        held=held,
        security_log=_security_log(user_id, ports),
    )


def _fact(user_id: UUID, context: Context) -> SecurityFact:
    # Whence an admin asks is theirs, and stays out of the user's log.
    if context.actor.id != user_id:
        return SecurityFact(kind="export", at=context.at, user_id=user_id, detail="by an admin")
    return SecurityFact(
        kind="export", at=context.at, user_id=user_id, session_id=context.session, network=context.network
    )


async def _security_log(user_id: UUID, ports: Ports) -> AsyncIterator[Sequence[SecurityEntry]]:
    before: int | None = None
    while page := await ports.security_log.page(user_id, ENTRIES, before):
        yield page
        before = page[-1].number


async def _secret(user_id: UUID, ports: Ports) -> Secret:
    account = await ports.accounts.of(user_id)
    if account is None or account.secret_hash is None:
        return Secret(set=False)
    # $2b$12$…, a PHC string such as $argon2id$v=19$…, or one that begins with its kind.
    kind, joint, _ = account.secret_hash.removeprefix("$").partition("$")
    return Secret(set=True, kind=_KINDS.get(kind, kind) if joint else "")


def _happened(recorded: Recorded) -> Happened:
    fields = msgspec.to_builtins(recorded.event)
    for name in ("at", "by"):
        fields.pop(name, None)
    return Happened(
        version=recorded.version,
        at=recorded.event.at,
        event=recorded.name.split(".")[1],
        by=_by(recorded.actor, recorded.user_id),
        data=fields,
        request_id=recorded.request_id,
    )


def _by(actor: Actor, user_id: UUID) -> str:
    if actor.kind == "user":
        return "the user" if actor.id == user_id else "an admin"
    words: Mapping[str, str] = {
        "service": "a service account",
        "operator": "an operator",
        "system": "the system",
        "anonymous": "nobody signed in",
    }
    return words[actor.kind]


def _sent(mails: Sequence[HeldMail], timeline: Sequence[Recorded]) -> list[SentMail]:
    """The mails with their addresses, which stand nowhere but in the history."""
    emails: dict[int, tuple[str, str]] = {}
    user = User(id=timeline[0].user_id)
    for recorded in timeline:
        before, user = user, evolve(user, recorded.event)
        emails[recorded.position] = before.email, user.email
    return [
        SentMail(
            kind=mail.kind,
            to=emails[mail.position][0 if mail.kind == "email_left" else 1],
            state=mail.state,
            attempts=mail.attempts,
            created_at=mail.created_at,
            handed_over_at=mail.handed_over_at,
        )
        for mail in mails
        # One that follows from what has happened since is the next export's.
        if mail.position in emails
    ]
