"""Answers queries from the read model `users`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composable, Composed, Identifier

from application.documents import render_card, render_document
from application.messages import Page
from application.ports import UserFilter, UserRow
from domain.user import User
from domain.values import name_key

POINT_READ: Final = """
SELECT asked.id, u.document, u.card, u.version,
       (SELECT max(e.version) FROM events e WHERE e.stream_id = asked.id)
FROM unnest(%b::uuid[]) AS asked (id) LEFT JOIN users_v1 u ON u.id = asked.id"""
"""Rows by id, with the version that the log has of each, so that a row that lags is known to."""

_SORT_COLUMNS = {"created_at": "created_at", "updated_at": "changed_at"}


def rows_by_id(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, UserRow]]:
    """Group what POINT_READ answers; a user without events is left out."""
    for user_id, document, card, version, logged in rows:
        if logged is not None:
            behind = version is None or version < logged
            yield user_id, UserRow(document=document, card=card, version=version, behind=behind)


def render(user: User) -> UserRow:
    """The row that a user folded from the log would have."""
    return UserRow(document=render_document(user), card=render_card(user), version=user.version)


async def list_users(connection: AsyncConnection, filter: UserFilter, limit: int, offset: int) -> Page:
    """One page of documents and the exact total, from one snapshot."""
    where, values = _conditions(filter)
    direction = SQL(" DESC" if filter.direction == "desc" else " ASC")
    sort = Identifier(_SORT_COLUMNS.get(filter.order, filter.order))
    order = Composed([sort, direction, SQL(", id"), direction])
    query = SQL("""
        WITH matching AS (SELECT count(*) AS total FROM users_v1 WHERE {where}),
        page AS (SELECT document, row_number() OVER (ORDER BY {order}) AS place
                 FROM users_v1 WHERE {where} ORDER BY {order} LIMIT %s OFFSET %s)
        SELECT total, document FROM matching LEFT JOIN page ON true ORDER BY place""").format(
        where=where, order=order
    )
    cursor = await connection.execute(query, [*values, *values, limit, offset], binary=True)
    rows = await cursor.fetchall()
    users = [bytes(row[1]) for row in rows if row[1] is not None]
    return Page(users=users, total=rows[0][0], limit=limit, offset=offset)


def _conditions(filter: UserFilter) -> tuple[Composable, list[Any]]:
    conditions: list[Composable] = []
    values: list[Any] = []
    for column in ("status", "role"):
        if (wanted := getattr(filter, column)) is not None:
            conditions.append(SQL("{} = %s").format(Identifier(column)))
            values.append(wanted.value)
    for column in ("email", "username", "first_name", "last_name"):
        if text := getattr(filter, column):
            conditions.append(SQL("{} LIKE %s").format(Identifier(column)))
            values.append(f"%{_literally(name_key(text))}%")
    return SQL(" AND ").join(conditions) if conditions else SQL("true"), values


def _literally(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
