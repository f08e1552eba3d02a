"""Show one user."""

from __future__ import annotations

from uuid import UUID

from application.messages import Context, Query, UserView
from application.ports import Ports
from application.viewing import present
from domain.access import may, require_reader
from domain.errors import NotFound
from domain.user import User


class ViewUser(Query[UserView], frozen=True, kw_only=True):
    """Show a user: whole to the user, to admins and to services that read users, else as a public card."""

    user_id: UUID
    known: User | None = None
    """The user as a command has just left them, who is then not read again."""


async def handle(query: ViewUser, context: Context, ports: Ports) -> UserView:
    if context.actor.kind == "service":
        require_reader(context.actor)
    row = ports.directory.render(query.known) if query.known else await present(query.user_id, ports)
    if row is None:
        raise NotFound
    if may(context.actor, "read_users") or context.actor.id == query.user_id:
        return UserView(body=row.document, version=row.version)
    return UserView(body=row.card, version=None)
