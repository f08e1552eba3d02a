"""List users."""

from __future__ import annotations

from application.messages import Context, Page, Query
from application.ports import Ports, UserFilter
from domain.access import require_admin


class ListUsers(Query[Page], frozen=True, kw_only=True):
    """List users, filtered and in order. Only admins may."""

    filter: UserFilter = UserFilter()
    limit: int = 10
    offset: int = 0


async def handle(query: ListUsers, context: Context, ports: Ports) -> Page:
    require_admin(context.actor)
    return await ports.directory.list(query.filter, query.limit, query.offset)
