"""Change names and metadata."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain import events
from domain.decisions import update_profile


class UpdateProfile(Command[Receipt], frozen=True, kw_only=True):
    """Change names and metadata. What is absent, null or an empty name stays; `{}` clears metadata."""

    user_id: UUID
    wish: events.ProfileUpdated
    if_match: Versions = None


async def handle(command: UpdateProfile, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: update_profile(user, command.wish, by=context.actor),
        context,
        ports,
        if_match=command.if_match,
    )
