"""Show what happened to one user."""

from __future__ import annotations

from uuid import UUID

from application.messages import Context, Page, Query
from application.paging import freshness_of
from application.ports import Ports
from domain.access import require_self_or_admin
from domain.errors import NotFound


class UserHistory(Query[Page], frozen=True, kw_only=True):
    """Show a user's timeline, newest first, to the user and to admins."""

    user_id: UUID
    limit: int = 10
    offset: int = 0


async def handle(query: UserHistory, context: Context, ports: Ports) -> Page:
    require_self_or_admin(context.actor, query.user_id)
    page = await ports.directory.history(
        query.user_id, query.limit, query.offset, freshness=freshness_of(context)
    )
    if page.total == 0 and not (await ports.log.load(query.user_id)).user.exists:
        raise NotFound
    return page
