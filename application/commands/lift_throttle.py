"""Let somebody try again at once."""

from __future__ import annotations

from uuid import UUID

from application.messages import Command, Context
from application.ports import Ports, SecurityFact
from domain.access import require_admin


class LiftThrottle(Command[int], frozen=True, kw_only=True):
    """Forget every attempt that is held against an account; how many limits that were. For admins."""

    user_id: UUID


async def handle(command: LiftThrottle, context: Context, ports: Ports) -> int:
    require_admin(context.actor)
    lifted = await ports.throttle.lift(command.user_id)
    if lifted:
        await ports.security_log.record(
            SecurityFact(kind="throttle_lifted", at=context.at, user_id=command.user_id)
        )
    return lifted
