"""End one session."""

from __future__ import annotations

from application.messages import Command, Context
from application.ports import Ports
from domain.access import require_user
from domain.values import user_id as parse_id


class RevokeSession(Command[None], frozen=True, kw_only=True):
    """End a session of one's own: its refresh token at once, its access tokens within a second everywhere.

    The id is the `id` of the list of sessions, which is the `jti` of the refresh token. One that is not
    there, or is somebody else's, is answered alike, and nothing happens.
    """

    session_id: str


async def handle(command: RevokeSession, context: Context, ports: Ports) -> None:
    user_id = require_user(context.actor)
    session_id = parse_id(command.session_id)
    if session_id is None:
        return
    await ports.sessions.revoke(user_id, session_id, context.at, by=context.session, network=context.network)
