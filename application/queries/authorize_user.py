"""Tell another service what a user is on the platform."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from application.messages import Context, Query
from application.ports import Ports
from domain.access import require_scope
from domain.values import Role, Status

Standing = Literal["admin", "member"]


class AuthorizeUser(Query[bool], frozen=True, kw_only=True):
    """Whether a user is an admin, or at all a member, of the platform at this moment.

    Nobody is either while disabled or deleted. For service accounts with the scope `introspect`, and admins.
    """

    user_id: UUID
    standing: Standing


async def handle(query: AuthorizeUser, context: Context, ports: Ports) -> bool:
    require_scope(context.actor, "introspect")
    account = await ports.accounts.of(query.user_id)
    if account is None or account.status is not Status.ENABLED:
        return False
    return query.standing == "member" or account.role is Role.ADMIN
