"""Reads what the tables hold of one user beside the log, and says of every table where an export tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.holdings import EndedSession, Held, HeldAttempts, HeldLink, HeldMail, HeldSession
from domain.errors import Unavailable

R = TypeVar("R", bound=msgspec.Struct)

TOLD: Mapping[str, str] = {
    "events": "history",
    "users": "user",
    "credentials": "secret",
    "sessions": "sessions",
    "revoked_sessions": "ended_sessions",
    "security_log": "security_log",
    "throttle": "attempts",
    "mails": "mails",
    "link_tokens": "links",
    "user_keys": "not_shown/keys",
    "names": "not_shown/names",
    "idempotency_keys": "not_shown/repeats",
    "followed_accounts": "not_shown/origin",
    "relay_messages": "not_shown/messages",
    "history": "not_shown/read_models",
    "signups": "not_shown/read_models",
    "parked_streams": "not_shown/read_models",
    "projection_differences": "not_shown/read_models",
    "discarded_events": "not_shown/read_models",
}
"""Which member of an export tells of a table, or which entry among what is held and not shown."""

NOTHING_TO_TELL: frozenset[str] = frozenset({"erasures"})
"""Tables with rows of nobody but the erased, of whom there is no export."""

_SESSIONS = """
SELECT id, created_at, rotated_at AS last_used_at, expires_at, description, user_agent, opened_from,
       used_from AS network
FROM sessions WHERE user_id = %s ORDER BY rotated_at DESC, id"""

_ENDED = """
SELECT session_id AS id, revoked_at AS ended_at, expires_at AS remembered_until
FROM revoked_sessions WHERE user_id = %s ORDER BY number DESC"""

_MAILS = """
SELECT kind, state, attempts, created_at, handed_over_at, position
FROM mails WHERE user_id = %s ORDER BY position DESC, kind"""

_LINKS = "SELECT kind, expires_at FROM link_tokens WHERE user_id = %s ORDER BY kind"

_ATTEMPTS = """
SELECT act, scope, network, attempts, waits_until, forgotten_at, welcome_until AS known_until
FROM throttle WHERE user_id = %s ORDER BY act, scope, network"""


class PostgresHoldings:
    """Implements the port Holdings."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def of(self, user_id: UUID) -> Held:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return Held(
                    sessions=await _rows(connection, HeldSession, _SESSIONS, user_id),
                    ended_sessions=await _rows(connection, EndedSession, _ENDED, user_id),
                    mails=await _rows(connection, HeldMail, _MAILS, user_id),
                    links=await _rows(connection, HeldLink, _LINKS, user_id),
                    attempts=await _rows(connection, HeldAttempts, _ATTEMPTS, user_id),
                )
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None


async def _rows(
    connection: psycopg.AsyncConnection[Any], shape: type[R], query: LiteralString, user_id: UUID
) -> list[R]:
    async with connection.cursor(row_factory=class_row(shape)) as cursor:
        return await (await cursor.execute(query, (user_id,))).fetchall()
