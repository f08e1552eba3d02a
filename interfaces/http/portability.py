"""The route by which a user takes along, or gets to see, everything that is held on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from time import monotonic
from typing import Literal

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Stream
from msgspec.structs import replace

from application.documents import Document
from application.holdings import NOT_SHOWN, EndedSession, HeldAttempts, HeldLink, HeldSession
from application.queries.export_user import Export, ExportUser, Happened, Secret, SentMail
from application.security import SecurityEntry
from domain.access import require_self_or_admin
from domain.errors import Refusal
from interfaces.http.caller import JSON, AnyRequest, bus_of, network_of, signed_in, user_in_path
from interfaces.http.feed import ASKED_AGAIN
from interfaces.http.sessions import SecurityLogEntry


class NotShown(msgspec.Struct, frozen=True):
    """Something that is held and does not stand here, and what it is."""

    what: str
    why: str


class ExportBeginning(msgspec.Struct, frozen=True, kw_only=True):
    """All of an export but the security log, which may be long."""

    format: Literal["usersd.user.export"] = "usersd.user.export"
    version: Literal[1] = 1
    exported_at: datetime
    position: int
    user: Document
    secret: Secret
    history: Sequence[Happened]
    sessions: Sequence[HeldSession]
    ended_sessions: Sequence[EndedSession]
    mails: Sequence[SentMail]
    links: Sequence[HeldLink]
    attempts: Sequence[HeldAttempts]
    not_shown: Sequence[NotShown]


class UserExport(ExportBeginning, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that is held on one user at a position of the log.

    `history` is in order, everything else newest first. `network` is the prefix of an address, never a whole
    one. Where `complete` is false, the security log was cut short, and `code` and `message` say why.
    """

    security_log: Sequence[SecurityLogEntry]
    complete: bool
    code: str = ""
    message: str = ""


class Portability(Controller):
    """What is held on a user, in one document."""

    path = "/users"

    @get(
        "/{user_id:str}/export",
        opt={"command": ExportUser, "answer": (200, "UserExport"), "throttled": True, "download": True},
    )
    async def export(self, request: AnyRequest, user_id: FromPath[str]) -> Stream:
        # Whoever may not do anything else yet may still see what is held on them.
        context = replace(await signed_in(request, unverified=True), network=network_of(request))
        question = ExportUser(user_id=user_in_path(user_id))
        found = await bus_of(request).ask(question, context)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="user-{question.user_id}.json"',
        }
        return Stream(_written(request, found), media_type=JSON, headers=headers)


async def _written(request: AnyRequest, export: Export) -> AsyncIterator[bytes]:
    """The document in parts: a security log may be longer than anybody wants to hold."""
    yield msgspec.json.encode(_beginning(export)).removesuffix(b"}") + b',"security_log":['
    believed, joint = monotonic(), b""
    try:
        async for page in export.security_log:
            if monotonic() - believed > ASKED_AGAIN:
                require_self_or_admin((await signed_in(request, unverified=True)).actor, export.user.id)
                believed = monotonic()
            yield joint + b",".join(msgspec.json.encode(_entry(entry)) for entry in page)
            joint = b","
    except Refusal as refusal:
        words = {"complete": False, "code": refusal.code, "message": refusal.text}
        yield b"]," + msgspec.json.encode(words).removeprefix(b"{")
        return
    yield b'],"complete":true}'


def _beginning(export: Export) -> ExportBeginning:
    return ExportBeginning(
        exported_at=export.at,
        position=export.position,
        user=export.user,
        secret=export.secret,
        history=export.history,
        sessions=export.sessions,
        ended_sessions=export.held.ended_sessions,
        mails=export.mails,
        links=export.held.links,
        attempts=export.held.attempts,
        not_shown=[NotShown(what, why) for what, why in NOT_SHOWN.items()],
    )


def _entry(entry: SecurityEntry) -> SecurityLogEntry:
    return SecurityLogEntry(
        number=entry.number,
        at=entry.at,
        kind=entry.kind,
        session_id=entry.session_id,
        network=entry.network,
        detail=entry.detail,
    )
