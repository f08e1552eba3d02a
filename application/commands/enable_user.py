"""Enable an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import enable


class EnableUser(Command[Receipt], frozen=True, kw_only=True):
    """Let a user in again. Only an admin may; of a deleted account this is restoring it."""

    user_id: UUID
    if_match: Versions = None


async def handle(command: EnableUser, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: enable(user, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
    )
