"""Erase a user."""

from __future__ import annotations

from uuid import UUID

from application.changing import change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports
from domain.decisions import erase


class EraseUser(Command[Receipt], frozen=True, kw_only=True):
    """Forget a user for good: the key is destroyed and the names are free with this very change.

    What else holds something of the user is emptied afterwards, until a certificate says that all is done.
    The last enabled admin stays. `reason` is one word and never personal.
    """

    user_id: UUID
    reason: str = ""


async def handle(command: EraseUser, context: Context, ports: Ports) -> Receipt:
    return await change_user(
        command.user_id,
        lambda user: erase(user, command.reason, by=context.actor, at=context.at),
        context,
        ports,
    )
