"""Change the email of an account."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, change_user
from application.limits import limits
from application.messages import Command, Context, Receipt
from application.ports import Ports
from application.throttling import count_each
from domain.decisions import change_email


class ChangeEmail(Command[Receipt], frozen=True, kw_only=True):
    """Change the email, which is unverified afterwards; every session ends but the one that asks."""

    user_id: UUID
    email: str
    if_match: Versions = None


async def handle(command: ChangeEmail, context: Context, ports: Ports) -> Receipt:
    if not context.actor.is_admin:
        # Each change is told to the new address, which may be anybody's.
        held = limits("email", context, account=command.user_id, user_id=command.user_id)
        await count_each(held, context, ports)
    return await change_user(
        command.user_id,
        lambda user: change_email(user, command.email, by=context.actor, at=context.at),
        context,
        ports,
        if_match=command.if_match,
        carries_session=True,
    )
