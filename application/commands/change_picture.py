"""Change the picture of an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import change_picture


class ChangePicture(Command[Receipt], frozen=True, kw_only=True):
    """Change the URL of the picture; an empty one clears it, none at all leaves it."""

    user_id: UUID
    picture: str | None
    if_match: Versions = None


async def handle(command: ChangePicture, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: change_picture(user, command.picture, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
