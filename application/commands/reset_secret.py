"""Set a new secret by the link of a mail."""

from __future__ import annotations

from application.changing import append
from application.links import redeem
from application.messages import Command, Context
from application.ports import Ports
from application.secrets import hash_new_secret
from application.security import SecurityFact
from domain.requests import reset_secret


class ResetSecret(Command[None], frozen=True, kw_only=True):
    """Set a new secret without the old one, by the link of a mail. Every session of the user ends at once.

    A link works once, and for five minutes after its mail was handed over.
    """

    token: str
    secret: str


async def handle(command: ResetSecret, context: Context, ports: Ports) -> None:
    before, own = await redeem("password_reset", command.token, context, ports)
    names = (before.user.email, before.user.username)
    secret_hash = await hash_new_secret(command.secret, ports, pointer="/password", names=names)
    decided = reset_secret(by=own.actor, at=own.at)
    await append(before, decided, own, ports, secret_hash=secret_hash)
    fact = SecurityFact(kind="secret_reset", at=own.at, user_id=before.user.id, network=own.network)
    await ports.security_log.record(fact)
