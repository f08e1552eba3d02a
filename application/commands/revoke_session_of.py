"""End one session of a user for another service."""

from __future__ import annotations

from uuid import UUID

from application.messages import Command, Context
from application.ports import Ports
from domain.access import require_scope


class RevokeSessionOf(Command[None], frozen=True, kw_only=True):
    """End a session of this user: its refresh token at once, its access tokens within a second everywhere.

    A session that is not there, or is another user's, is answered alike, and nothing happens. For service
    accounts with the scope `issue_tokens`, and admins.
    """

    user_id: UUID
    session_id: UUID


async def handle(command: RevokeSessionOf, context: Context, ports: Ports) -> None:
    require_scope(context.actor, "issue_tokens")
    await ports.sessions.revoke(command.user_id, command.session_id, context.at, by=context.session)
