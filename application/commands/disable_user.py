"""Disable an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import disable


class DisableUser(Command[Receipt], frozen=True, kw_only=True):
    """Shut a user out: every session ends at once. The user and admins may; the last enabled admin stays."""

    user_id: UUID
    if_match: Versions = None


async def handle(command: DisableUser, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: disable(user, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
