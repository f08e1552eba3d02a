"""The routes to one's own sessions and to the security log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from msgspec.structs import replace

from application.commands.revoke_all_sessions import RevokeAllSessions
from application.commands.revoke_session import RevokeSession
from application.messages import Context
from application.queries.list_sessions import ListSessions
from application.queries.view_security_log import ViewSecurityLog
from interfaces.http.bodies import RevokeAllBody, RevokeBody
from interfaces.http.caller import (
    JSON,
    AnyRequest,
    body,
    bus_of,
    network_of,
    raw_body,
    signed_in,
    user_in_path,
)
from interfaces.http.queries import SecurityLogQuery
from interfaces.http.reading import read_query


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session, under the name of the refresh token that goes on with it.

    Of sessions that the platform's Auth service keeps, only `id` and `description` are known.
    `network` is the prefix of the address of the last use, `opened_from` that of the login; both are left out
    where it is not known. `current` marks the session that asks.
    """

    id: UUID
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    description: str = ""
    user_agent: str = ""
    opened_from: str = ""
    network: str = ""
    current: bool = False


class RefreshTokenList(msgspec.Struct, frozen=True, kw_only=True):
    """One's own sessions, the one that was used last first."""

    refresh_tokens: list[RefreshToken]


class SecurityLogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened around an account; `network` is the prefix of an address."""

    number: int
    at: datetime
    kind: str
    session_id: UUID | None = None
    network: str = ""
    detail: str = ""


class SecurityLogPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a security log, newest first. `next` is the `before` of the next page, where there is one."""

    limit: int
    security_log: list[SecurityLogEntry]
    next: int | None = None


class Sessions(Controller):
    """List and end one's sessions, and see what happened around the account."""

    path = "/users"

    @get("/tokens/refresh-tokens", opt={"command": ListSessions, "answer": (200, "RefreshTokenList")})
    async def list_refresh_tokens(self, request: AnyRequest) -> Response[bytes]:
        context = await signed_in(request, unverified=True)
        sessions = await bus_of(request).ask(ListSessions(), context)
        shown = [
            RefreshToken(**msgspec.structs.asdict(session), current=session.id == context.session)
            for session in sessions
        ]
        return _json(RefreshTokenList(refresh_tokens=shown))

    @post("/tokens/revoke", opt={"body": RevokeBody, "command": RevokeSession, "answer": (204, None)})
    async def revoke_refresh_token(self, request: AnyRequest) -> Response[None]:
        context = await _with_network(request)
        wanted = await body(request, RevokeBody, RevokeBody.faults)
        await bus_of(request).dispatch(RevokeSession(session_id=wanted.token_id), context)
        return Response(None, status_code=204)

    @post(
        "/tokens/revoke-all",
        opt={
            "body": RevokeAllBody,
            "body_optional": True,
            "command": RevokeAllSessions,
            "answer": (204, None),
        },
    )
    async def revoke_all_refresh_tokens(self, request: AnyRequest) -> Response[None]:
        context = await _with_network(request)
        wanted = await body(request, RevokeAllBody) if await raw_body(request) else RevokeAllBody()
        await bus_of(request).dispatch(RevokeAllSessions(keep_current=wanted.keep_current), context)
        return Response(None, status_code=204)

    @get(
        "/{user_id:str}/security-log",
        opt={"query": SecurityLogQuery, "command": ViewSecurityLog, "answer": (200, "SecurityLogPage")},
    )
    async def security_log(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await signed_in(request)
        wanted = read_query(request.scope["query_string"], SecurityLogQuery)
        # One more than is shown tells whether there is a next page.
        question = ViewSecurityLog(
            user_id=user_in_path(user_id), limit=wanted.limit + 1, before=wanted.before or None
        )
        found = await bus_of(request).ask(question, context)
        shown = found[: wanted.limit]
        entries = [
            SecurityLogEntry(
                number=entry.number,
                at=entry.at,
                kind=entry.kind,
                session_id=entry.session_id,
                network=entry.network,
                detail=entry.detail,
            )
            for entry in shown
        ]
        more = shown[-1].number if len(found) > len(shown) else None
        return _json(SecurityLogPage(limit=wanted.limit, security_log=entries, next=more))


async def _with_network(request: AnyRequest) -> Context:
    return replace(await signed_in(request, unverified=True), network=network_of(request))


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), headers={"Cache-Control": "no-store"}, media_type=JSON)
