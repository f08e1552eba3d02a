"""Change one's own secret."""

from __future__ import annotations

from uuid import UUID

from application.changing import Versions, append
from application.limits import limits
from application.messages import Command, Context, Receipt
from application.ports import Ports
from application.secrets import hash_new_secret
from application.throttling import counting
from domain.decisions import change_secret
from domain.errors import Stale, WrongCredentials


class ChangeSecret(Command[Receipt], frozen=True, kw_only=True):
    """Set a new secret by showing the old one. Every session of the user ends at once."""

    user_id: UUID
    old_secret: str
    new_secret: str
    if_match: Versions = None


async def handle(command: ChangeSecret, context: Context, ports: Ports) -> Receipt:
    # Loaded before the old secret is checked: of two changes at once the later one meets a conflict
    # and has to show the secret that holds by then.
    before = await ports.log.load(command.user_id)
    if command.if_match is not None and before.user.version not in command.if_match:
        raise Stale
    decided = change_secret(before.user, by=context.actor, at=context.at)
    async with counting(
        WrongCredentials,
        limits("secret", context, account=command.user_id, user_id=command.user_id),
        context,
        ports,
    ):
        account = await ports.accounts.of(command.user_id)
        if not await ports.hasher.verify(command.old_secret, account.secret_hash if account else None):
            raise WrongCredentials("The old secret is wrong.")
    names = (before.user.email, before.user.username)
    secret_hash = await hash_new_secret(command.new_secret, ports, pointer="/new_secret", names=names)
    return await append(before, decided, context, ports, secret_hash=secret_hash)
