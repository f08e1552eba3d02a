"""Walks over every row of the read model `users`, page by page, without a snapshot that outlives a page."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import WalkedPage, WalkedUser
from projections.readmodel import table_name
from projections.users.projector import Users

ROWS = 1000
BYTES = 4 * 1024 * 1024
"""A page ends with whichever comes first, and holds a row at least."""

TRIES = 3

FIRST: Final = UUID(int=0)
"""Below every id that a user can have."""

_STATE = """
SELECT p.generation, p.position, ARRAY(
    SELECT s.user_id FROM parked_streams s
    WHERE (s.projection, s.version, s.generation) = (p.name, p.version, p.generation)
    AND s.user_id > %(after)s
    ORDER BY s.user_id)
FROM projections p WHERE p.name = %(name)s AND p.version = %(version)s AND p.live"""

_ROWS = SQL("""
SELECT id, version, document FROM (
    SELECT id, version, document, sum(octet_length(document)) OVER (ORDER BY id) - octet_length(document)
        AS before
    FROM (SELECT id, version, document FROM {} WHERE id > %b ORDER BY id LIMIT %b) AS nearest
) AS sized WHERE before < %b ORDER BY id""")


class Behind(Exception):
    """The read model has not reached the position that the walk promises."""


async def walk_page(connection: psycopg.AsyncConnection, after: UUID, position: int) -> WalkedPage:
    """The users that come next, in the order of their ids; an empty page without users is the end.

    Which table is live, how far it is and whose streams are parked is read first, then the rows of that
    very table. In this order a row lacks nothing up to `position` unless its user is among the parked ones,
    whatever is written, parked, retried or rebuilt in between: a table only ever moves on. Raises Behind.
    """
    for _ in range(TRIES):
        names = {"after": after, "name": Users.name, "version": Users.version}
        cursor = await connection.execute(_STATE, names, prepare=True, binary=True)
        state = await cursor.fetchone()
        if state is None or state[1] < position:
            break
        generation, _, parked = state
        query = _ROWS.format(Identifier(table_name(Users(), generation)))
        try:
            cursor = await connection.execute(query, (after, ROWS, BYTES), prepare=True, binary=True)
        except psycopg.errors.UndefinedTable:
            # A rebuild put another table in its place, and this one away.
            continue
        rows = [WalkedUser._make(row) for row in await cursor.fetchall()]
        last = rows[-1].id if rows else None
        return WalkedPage(rows, [user_id for user_id in parked if last is None or user_id <= last])
    raise Behind
