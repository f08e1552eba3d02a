"""List one's own sessions."""

from __future__ import annotations

from collections.abc import Sequence

from application.messages import Context, Query
from application.ports import Ports
from application.security import Session
from domain.access import require_user


class ListSessions(Query[Sequence[Session]], frozen=True, kw_only=True):
    """List one's own sessions, the one that was used last first; at most 1,000.

    Each id is the `jti` of the session's refresh token; the session that asks is marked as current.
    """


async def handle(query: ListSessions, context: Context, ports: Ports) -> Sequence[Session]:
    user_id = require_user(context.actor)
    return await ports.sessions.of(user_id, context.at)
