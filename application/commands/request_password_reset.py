"""Ask for a link to set a new secret."""

from __future__ import annotations

import asyncio
import time

from application.changing import append
from application.limits import limits
from application.messages import Command, Context
from application.ports import Ports
from application.security import SecurityFact
from application.throttling import count_each
from domain.requests import request_password_reset

ANSWERED_AFTER = 0.05
"""Seconds that every answer takes at least, so that storing a request cannot be told from not storing one."""


class RequestPasswordReset(Command[None], frozen=True, kw_only=True):
    """Have a link to set a new secret sent to an email.

    The answer and the time it takes are the same whether or not an enabled account has this email. A new
    link makes the one before it worthless.
    """

    email: str


async def handle(command: RequestPasswordReset, context: Context, ports: Ports) -> None:
    answered_at = time.monotonic() + ANSWERED_AFTER
    user_id = await ports.accounts.holder("email", command.email)
    await count_each(limits("reset", context, account=command.email, user_id=user_id), context, ports)
    if user_id is not None:
        before = await ports.log.load(user_id)
        decided = request_password_reset(before.user, by=context.actor, at=context.at)
        if decided:
            await append(before, decided, context, ports)
            await ports.security_log.record(
                SecurityFact(kind="reset_requested", at=context.at, user_id=user_id, network=context.network)
            )
    await asyncio.sleep(answered_at - time.monotonic())
