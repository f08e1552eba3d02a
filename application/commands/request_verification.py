"""Ask for a link to verify one's email."""

from __future__ import annotations

from uuid import UUID

from application.changing import append
from application.limits import limits
from application.messages import Command, Context
from application.ports import Ports
from application.security import SecurityFact
from application.throttling import count_each
from domain.requests import request_verification


class RequestVerification(Command[None], frozen=True, kw_only=True):
    """Have a link to verify it sent to one's own email. A new link makes the one before it worthless."""

    user_id: UUID


async def handle(command: RequestVerification, context: Context, ports: Ports) -> None:
    before = await ports.log.load(command.user_id)
    decided = request_verification(before.user, by=context.actor, at=context.at)
    await count_each(
        limits("verification", context, account=command.user_id, user_id=command.user_id), context, ports
    )
    await append(before, decided, context, ports)
    await ports.security_log.record(
        SecurityFact(
            kind="verification_requested",
            at=context.at,
            user_id=command.user_id,
            session_id=context.session,
            network=context.network,
        )
    )
