"""Sessions of the Auth service that were ended here: every process hears of them, as of our own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.security import SecurityKind
from domain.errors import Unavailable

LONGEST_ACCESS = timedelta(hours=24)
"""For how long an ended session is remembered: how long its access tokens live, only their issuer knows."""

# The lock is held until the commit, as whoever else writes numbers does: see the function end_sessions.
_LOCK = "SELECT pg_advisory_xact_lock(7310580243119871)"

_INSERT = """
INSERT INTO revoked_sessions (session_id, user_id, revoked_at, expires_at)
SELECT id, %(user)s, %(at)s, %(until)s FROM unnest(%(sessions)s::uuid[]) AS id"""

_NOTE = """
INSERT INTO security_log (at, user_id, kind, session_id, network, detail)
VALUES (%(at)s, %(user)s, %(kind)s, %(session)s, %(network)s, %(detail)s)"""

_IS_ENDED = "SELECT EXISTS (SELECT FROM revoked_sessions WHERE session_id = %s)"

_TELL = "SELECT pg_notify('usersd_revoked_sessions', '')"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended, and how the security log tells of it."""

    user_id: UUID
    sessions: Sequence[UUID]
    at: datetime
    kind: SecurityKind
    session: UUID | None
    network: str


async def remember(pool: AsyncConnectionPool, ended: Ended) -> None:
    """Write it down and tell every process. Raises Unavailable."""
    several = ended.kind == "all_sessions_revoked"
    values = {
        "user": ended.user_id,
        "sessions": list(ended.sessions),
        "at": ended.at,
        "until": ended.at + LONGEST_ACCESS,
        "kind": ended.kind,
        "session": ended.session,
        "network": ended.network,
        "detail": str(len(ended.sessions)) if several else "",
    }
    try:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            for statement in (_INSERT, _NOTE, _TELL):
                await connection.execute(statement, values)
    except (psycopg.OperationalError, PoolTimeout):
        raise Unavailable from None


async def is_ended(pool: AsyncConnectionPool, session: UUID) -> bool:
    """Whether it was ended here, whatever the Auth service thinks of it. Raises Unavailable."""
    try:
        async with pool.connection() as connection:
            row = await (await connection.execute(_IS_ENDED, (session,))).fetchone()
    except (psycopg.OperationalError, PoolTimeout):
        raise Unavailable from None
    return bool(row and row[0])
