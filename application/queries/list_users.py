"""List users."""

from __future__ import annotations

from application.listing import UserFilter
from application.messages import Context, Page, Query
from application.paging import Paging, page_of
from application.ports import Ports
from domain.access import require_scope


class ListUsers(Query[Page], frozen=True, kw_only=True):
    """List users, filtered and in order. Only admins may.

    A text of three characters or more matches anywhere in its field, a shorter one at the beginning,
    both without regard to case and Unicode form; `%` and `_` stand for themselves. Where there is a
    next page, the Link header leads to it by a cursor, in the same time at any depth.
    """

    filter: UserFilter = UserFilter()
    paging: Paging = Paging()


async def handle(query: ListUsers, context: Context, ports: Ports) -> Page:
    require_scope(context.actor, "read_users")
    return await page_of(ports, query.filter, query.paging, context)
