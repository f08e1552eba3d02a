"""Make the first admin of the settings."""

from __future__ import annotations

from application.changing import append
from application.messages import Command, Context, Receipt
from application.ports import History, Ports
from application.secrets import hash_new_secret
from domain import events
from domain.user import User


class CreateFirstAdmin(Command[Receipt], frozen=True, kw_only=True):
    """Make the admin that the settings name; only while the log has never held an admin."""

    account: events.Registered
    user: User
    secret: str


async def handle(command: CreateFirstAdmin, context: Context, ports: Ports) -> Receipt:
    names = (command.account.email, command.account.username)
    secret_hash = await hash_new_secret(command.secret, ports, pointer="", names=names)
    return await append(
        History(user=command.user),
        [command.account],
        context,
        ports,
        secret_hash=secret_hash,
        first_admin=True,
    )
