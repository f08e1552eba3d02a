"""Replace the tags of an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import change_tags


class ChangeTags(Command[Receipt], frozen=True, kw_only=True):
    """Replace all tags; an empty list clears them, none at all leaves them."""

    user_id: UUID
    tags: list[str] | None
    if_match: Versions = None


async def handle(command: ChangeTags, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: change_tags(user, command.tags, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
