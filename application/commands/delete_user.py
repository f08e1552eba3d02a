"""Delete an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import delete


class DeleteUser(Command[Receipt], frozen=True, kw_only=True):
    """Close an account: every session ends at once. The user and admins may; the last enabled admin stays.

    Its names stay taken. An admin restores it by enabling it, until its grace is over and it is erased.
    """

    user_id: UUID
    if_match: Versions = None


async def handle(command: DeleteUser, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: delete(user, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
