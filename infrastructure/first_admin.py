"""Makes the admin of the settings, once in the life of a log."""

from __future__ import annotations

import logging
from uuid import uuid4

from application.bus import Bus
from application.commands.create_first_admin import CreateFirstAdmin
from application.messages import Context
from domain import events
from domain.access import SYSTEM
from domain.errors import Conflict, Invalid
from domain.user import User
from domain.values import Role
from infrastructure.settings import Settings

log = logging.getLogger("usersd")


class NoFirstAdmin(Exception):
    """There was never an admin, and the one of the settings cannot be made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The first admin cannot be made, and nobody could do what takes one: {why}.")


async def make_first_admin(bus: Bus, settings: Settings) -> None:
    """Make the admin of the settings, once in the life of a log."""
    if await bus.ports.accounts.had_admin():
        return
    secret = settings.admin_password.reveal()
    if not settings.secret_allowed(secret):
        raise NoFirstAdmin("MG_USERS_ADMIN_PASSWORD does not meet MG_USERS_PASS_REGEX")
    now = bus.ports.clock.now()
    command = CreateFirstAdmin(
        account=events.Registered(
            at=now,
            email=settings.admin_email,
            username=settings.admin_username,
            first_name=settings.admin_first_name,
            last_name=settings.admin_last_name,
            metadata={"role": "admin"},
            role=Role.ADMIN,
        ),
        user=User(id=uuid4()),
        secret=secret,
    )
    command_id = uuid4()
    context = Context(actor=SYSTEM, at=now, command_id=command_id, correlation_id=command_id)
    try:
        await bus.dispatch(command, context, wait=False)
        log.info("made the first admin")
    except Invalid as refusal:
        raise NoFirstAdmin(f"MG_USERS_ADMIN_PASSWORD is refused ({refusal.text.rstrip('.')})") from None
    except Conflict as refusal:
        # Another process was first, or the names belong to somebody already.
        log.warning("the first admin was not made: %s", refusal.text)
