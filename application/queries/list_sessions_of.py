"""List the sessions of a user for another service."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.messages import Context, Query
from application.ports import Ports
from application.security import Session
from domain.access import require_scope


class ListSessionsOf(Query[Sequence[Session]], frozen=True, kw_only=True):
    """List the sessions of a user, the one that was used last first; at most 1,000.

    For service accounts with the scope `issue_tokens`, and admins.
    """

    user_id: UUID


async def handle(query: ListSessionsOf, context: Context, ports: Ports) -> Sequence[Session]:
    require_scope(context.actor, "issue_tokens")
    return await ports.sessions.of(query.user_id, context.at)
