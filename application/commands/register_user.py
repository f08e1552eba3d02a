"""Register an account."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

from application.changing import append
from application.limits import limits
from application.messages import Command, Context, Receipt
from application.ports import History, NameKind, Ports
from application.secrets import hash_new_secret
from application.throttling import count_each
from domain import events
from domain.decisions import register
from domain.errors import EmailTaken, UsernameTaken
from domain.user import User
from domain.values import Status


class RegisterUser(Command[Receipt], frozen=True, kw_only=True):
    """Open an account.

    Anyone may open a plain, enabled one where self-registration is allowed; an admin's role or a
    disabled account takes an admin. Email and username are unique without regard to case.
    """

    account: events.Registered
    user: User
    secret: str


async def handle(command: RegisterUser, context: Context, ports: Ports) -> Receipt:
    decided = register(command.account, by=context.actor, self_register=ports.rules.self_register)
    if not context.actor.is_admin:
        await count_each(limits("register", context), context, ports)
    # The append decides who wins a race; asking first only spares the cost of a hash.
    holders = await asyncio.gather(
        *(ports.accounts.holder(kind, name) for kind, name in _names(command.account))
    )
    if holders[0]:
        raise EmailTaken
    if any(holders):
        raise UsernameTaken
    names = (command.account.email, command.account.username)
    secret_hash = await hash_new_secret(command.secret, ports, pointer="/credentials/secret", names=names)
    return await append(History(user=command.user), decided, context, ports, secret_hash=secret_hash)


def _names(account: events.Registered) -> Iterator[tuple[NameKind, str]]:
    yield "email", account.email
    if account.username:
        yield "username", account.username


async def opens_still(user_id: UUID, ports: Ports) -> bool:
    """Whether the secret of the registration opens the account still.

    Who repeats a registration shows that secret, and is shown no more than by logging in with it.
    """
    account = await ports.accounts.of(user_id)
    if account is None or account.status is not Status.ENABLED:
        return False
    return account.epoch == User(id=user_id).epoch
