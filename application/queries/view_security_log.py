"""Show what happened around one account."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.messages import Context, Query
from application.ports import Ports
from application.security import SecurityEntry
from domain.access import require_self_or_admin


class ViewSecurityLog(Query[Sequence[SecurityEntry]], frozen=True, kw_only=True):
    """Show logins, failed logins, thefts of tokens and sessions that were ended, to the user and to admins.

    Newest first. `before` is the number below which the page begins; the `next` of a page leads to the one
    after it, in the same time at any depth.
    """

    user_id: UUID
    limit: int = 10
    before: int | None = None


async def handle(query: ViewSecurityLog, context: Context, ports: Ports) -> Sequence[SecurityEntry]:
    require_self_or_admin(context.actor, query.user_id)
    return await ports.security_log.page(query.user_id, query.limit, query.before)
