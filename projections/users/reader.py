"""Answers queries from the read model `users`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from application.documents import render_card, render_document
from application.listing import Found, Part, Place, UserFilter
from application.ports import UserRow
from domain.user import User
from projections.users import listing

POINT_READ: Final = """
SELECT asked.id, u.document, u.card, u.version,
       (SELECT max(e.version) FROM events e WHERE e.stream_id = asked.id)
FROM unnest(%b::uuid[]) AS asked (id) LEFT JOIN users_v1 u ON u.id = asked.id"""
"""Rows by id, with the version that the log has of each, so that a row that lags is known to."""


def rows_by_id(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, UserRow]]:
    """Group what POINT_READ answers; a user without events is left out."""
    for user_id, document, card, version, logged in rows:
        if logged is not None:
            behind = version is None or version < logged
            yield user_id, UserRow(document=document, card=card, version=version, behind=behind)


def render(user: User) -> UserRow:
    """The row that a user folded from the log would have."""
    return UserRow(document=render_document(user), card=render_card(user), version=user.version)


async def list_users(
    connection: AsyncConnection, filter: UserFilter, part: Part, *, cards: bool = False
) -> Found:
    """A part of a list and its total: one statement."""
    if only_total := part.only_total or part.limit == 0:
        query, values = listing.total(filter, capped=part.capped)
    else:
        query, values = listing.page(filter, part, cards=cards)
    # A plan made once for all values would look for a rare text as for a common one.
    cursor = await connection.execute(query, values, prepare=False, binary=True)
    rows = await cursor.fetchall()
    total, exact = abs(rows[0][0]), rows[0][0] >= 0
    if only_total:
        return Found(users=[], total=total, exact=exact)
    users = [row for row in rows if row[1] is not None]
    shown = users[: part.limit]
    goes_on = len(users) > part.limit
    return Found(
        users=[bytes(document) for *_, document in shown],
        total=total,
        exact=exact,
        next=Place(shown[-1][2], shown[-1][1]) if goes_on else None,
    )
