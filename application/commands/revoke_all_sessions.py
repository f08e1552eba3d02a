"""End every session."""

from __future__ import annotations

from application.messages import Command, Context
from application.ports import Ports
from domain.access import require_user


class RevokeAllSessions(Command[None], frozen=True, kw_only=True):
    """End every session of one's own, the one that asks too unless `keep_current` is true.

    Their refresh tokens end at once, their access tokens within a second everywhere.
    """

    keep_current: bool = False


async def handle(command: RevokeAllSessions, context: Context, ports: Ports) -> None:
    user_id = require_user(context.actor)
    await ports.sessions.revoke_all(
        user_id,
        context.at,
        keep=context.session if command.keep_current else None,
        by=context.session,
        network=context.network,
    )
