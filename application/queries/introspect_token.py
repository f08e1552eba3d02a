"""Tell another service what a token is worth at this moment."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from application.authentication import authenticate
from application.messages import Context, Query
from application.ports import Ports
from domain.access import require_scope
from domain.errors import InvalidToken
from domain.values import Role


class Introspection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What RFC 7662 section 2.2 answers; of a token that is worth nothing, only that it is not active."""

    active: bool
    token_type: Literal["access_token", "refresh_token", ""] = ""
    sub: UUID | None = None
    sid: UUID | None = None
    exp: int = 0
    iss: str = ""
    aud: str = ""
    client_id: str = ""
    role: Role | None = None
    verified: bool | None = None


class IntrospectToken(Query[Introspection], frozen=True, kw_only=True):
    """Whether a token is worth anything now, and whose it is: role and verified flag as they are now.

    For service accounts with the scope `introspect`, and admins.
    """

    token: str


async def handle(query: IntrospectToken, context: Context, ports: Ports) -> Introspection:
    require_scope(context.actor, "introspect")
    try:
        return await _access(query.token, context, ports)
    except InvalidToken:
        return await _refresh(query.token, context, ports)


async def _access(token: str, context: Context, ports: Ports) -> Introspection:
    found = await authenticate(token, context, ports)
    claims = await ports.tokens.claims(token, context.at)
    return Introspection(
        active=True,
        token_type="access_token",
        sub=found.actor.id,
        sid=found.session,
        exp=int(claims.expires_at),
        iss=ports.rules.issuer,
        aud=ports.rules.audience,
        client_id="usersd",
        role=found.actor.role,
        verified=found.actor.verified,
    )


async def _refresh(token: str, context: Context, ports: Ports) -> Introspection:
    living = await ports.sessions.living(token, context.at)
    account = await ports.accounts.of(living.user_id) if living else None
    if living is None or account is None:
        return Introspection(active=False)
    return Introspection(
        active=True,
        token_type="refresh_token",
        sub=living.user_id,
        sid=living.session_id,
        exp=int(living.expires_at.timestamp()),
        iss=ports.rules.issuer,
        client_id="usersd",
        role=account.role,
        verified=account.verified,
    )
