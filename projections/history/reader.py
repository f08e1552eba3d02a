"""Answers queries from the read model `history`."""

from __future__ import annotations

from uuid import UUID

from psycopg import AsyncConnection

from application.messages import Page

_PAGE = """
SELECT (SELECT count(*) FROM history_v1 WHERE user_id = %(user)s), entry
FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT entry, version FROM history_v1 WHERE user_id = %(user)s
    ORDER BY version DESC LIMIT %(limit)s OFFSET %(offset)s) AS page ON true
ORDER BY version DESC"""


async def timeline(connection: AsyncConnection, user_id: UUID, limit: int, offset: int) -> Page:
    """One page of a user's timeline, newest first, and its exact length."""
    cursor = await connection.execute(_PAGE, {"user": user_id, "limit": limit, "offset": offset}, binary=True)
    rows = await cursor.fetchall()
    entries = [bytes(row[1]) for row in rows if row[1] is not None]
    return Page(users=entries, total=rows[0][0], limit=limit, offset=offset)
