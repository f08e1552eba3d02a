"""Change the role of an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import change_role
from domain.values import Role


class ChangeRole(Command[Receipt], frozen=True, kw_only=True):
    """Make a user an admin or an admin a user. Only admins may; the last enabled admin stays one."""

    user_id: UUID
    role: Role
    if_match: Versions = None


async def handle(command: ChangeRole, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: change_role(user, command.role, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
        carries_session=True,
    )
