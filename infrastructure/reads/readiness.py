"""Tells whether every read model of this version can be read, and how far those are that cannot."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from projections.readmodel import ReadModel

_STANDING = """
SELECT asked.name, coalesce(p.live, false), p.position, head.position
FROM unnest(%s::text[], %s::int[]) WITH ORDINALITY AS asked (name, version, number)
LEFT JOIN LATERAL (
    SELECT live, position FROM projections WHERE (name, version) = (asked.name, asked.version)
    ORDER BY live DESC, generation DESC LIMIT 1
) AS p ON true,
(SELECT coalesce(max(position), 0) AS position FROM events) AS head
ORDER BY asked.number"""


async def unread(connection: psycopg.AsyncConnection, models: Sequence[ReadModel]) -> str:
    """`ok`, or each read model that is still being built: a version with another shape begins with none."""
    names, versions = [model.name for model in models], [model.version for model in models]
    cursor = await connection.execute(_STANDING, (names, versions))
    building = [
        _how_far(name, position, head) for name, live, position, head in await cursor.fetchall() if not live
    ]
    return "; ".join(building) or "ok"


def _how_far(name: str, position: int | None, head: int) -> str:
    if position is None:
        return f"{name} is not built yet"
    if position >= head:
        return f"{name} is being built: the log is read, its indexes are made and it is verified"
    return f"{name} is being built: {position:,} of {head:,} events"
