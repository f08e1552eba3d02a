"""See what is held against an account."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.messages import Context, Query
from application.ports import Ports, Throttled
from domain.access import require_admin


class ViewThrottle(Query[Sequence[Throttled]], frozen=True, kw_only=True):
    """Which attempts on an account were counted lately, and how long the next one waits. For admins."""

    user_id: UUID


async def handle(query: ViewThrottle, context: Context, ports: Ports) -> Sequence[Throttled]:
    require_admin(context.actor)
    return await ports.throttle.of(query.user_id, context.at)
