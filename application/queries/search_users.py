"""Search users."""

from __future__ import annotations

from application.listing import UserFilter
from application.messages import Context, Page, Query
from application.paging import Paging, page_of
from application.ports import Ports
from domain.access import require_reader
from domain.values import Role, Status


class SearchUsers(Query[Page], frozen=True, kw_only=True):
    """Search users by username, names or id. Every signed-in user may.

    Found are enabled accounts with the role `user`, the last changed first, each as the public card
    that strangers see. Texts match as in the list of users.
    """

    username: str = ""
    first_name: str = ""
    last_name: str = ""
    id: str = ""
    paging: Paging = Paging()


async def handle(query: SearchUsers, context: Context, ports: Ports) -> Page:
    require_reader(context.actor)
    filter = UserFilter(
        status=Status.ENABLED,
        role=Role.USER,
        username=query.username,
        first_name=query.first_name,
        last_name=query.last_name,
        id=query.id,
    )
    return await page_of(ports, filter, query.paging, context, cards=True)
