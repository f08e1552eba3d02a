"""Change the username of an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import change_username


class ChangeUsername(Command[Receipt], frozen=True, kw_only=True):
    """Change the username; it is unique without regard to case."""

    user_id: UUID
    username: str
    if_match: Versions = None


async def handle(command: ChangeUsername, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: change_username(user, command.username, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
