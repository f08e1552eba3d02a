"""Show one user."""

from __future__ import annotations

from uuid import UUID

from application.messages import Context, Query, UserView
from application.ports import Ports
from domain.access import may, require_reader
from domain.errors import NotFound


class ViewUser(Query[UserView], frozen=True, kw_only=True):
    """Show a user: whole to the user, to admins and to services that read users, else as a public card."""

    user_id: UUID


async def handle(query: ViewUser, context: Context, ports: Ports) -> UserView:
    if context.actor.kind == "service":
        require_reader(context.actor)
    row = await ports.directory.find(query.user_id)
    if row is None or row.behind:
        # The read model does not have the last word on this user yet; the log does.
        user = (await ports.log.load(query.user_id)).user
        if not user.exists:
            raise NotFound
        row = ports.directory.render(user)
    if may(context.actor, "read_users") or context.actor.id == query.user_id:
        return UserView(body=row.document, version=row.version)
    return UserView(body=row.card, version=None)
