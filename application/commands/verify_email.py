"""Verify an email."""

from __future__ import annotations

from application.changing import append
from application.links import redeem
from application.messages import Command, Context
from application.ports import Ports
from application.security import SecurityFact
from domain.requests import verify_email


class VerifyEmail(Command[None], frozen=True, kw_only=True):
    """Verify the email that a link was sent to. A link works once, and for 24 hours."""

    token: str


async def handle(command: VerifyEmail, context: Context, ports: Ports) -> None:
    before, own = await redeem("verification", command.token, context, ports)
    await append(before, verify_email(before.user, by=own.actor, at=own.at), own, ports)
    fact = SecurityFact(kind="email_verified", at=own.at, user_id=before.user.id, network=own.network)
    await ports.security_log.record(fact)
