"""Tell another service whose access token this is."""

from __future__ import annotations

from uuid import UUID

import msgspec

from application.authentication import authenticate
from application.messages import Context, Query
from application.ports import Ports
from domain.access import require_scope
from domain.values import Role


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who is behind an access token: role and verified flag as they are now."""

    user_id: UUID
    session_id: UUID
    role: Role
    verified: bool


class Identify(Query[Identity], frozen=True, kw_only=True):
    """Whose access token this is, as the account stands now. A token of another kind is nobody's.

    For service accounts with the scope `introspect`, and admins.
    """

    token: str


async def handle(query: Identify, context: Context, ports: Ports) -> Identity:
    require_scope(context.actor, "introspect")
    found = await authenticate(query.token, context, ports)
    assert found.actor.id is not None
    assert found.session is not None
    return Identity(
        user_id=found.actor.id,
        session_id=found.session,
        role=found.actor.role,
        verified=found.actor.verified,
    )
