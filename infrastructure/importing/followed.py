"""Whom the following has taken, and as of when: rows beside the log, so that it goes on where it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL

from infrastructure.postgres.reads import INDEXES_ONLY

PAGE: Final = 10_000

_TAKEN = """
SELECT f.user_id, f.taken FROM unnest(%b::uuid[]) AS asked (id)
JOIN followed_accounts f ON f.user_id = asked.id AND f.source = %b"""

_TAKE = """
INSERT INTO followed_accounts (user_id, source, taken)
SELECT fresh.id, %b, fresh.taken FROM unnest(%b::uuid[], %b::timestamp[]) AS fresh (id, taken)
ON CONFLICT (user_id, source) DO UPDATE SET taken = excluded.taken"""

_LEAVE = "DELETE FROM followed_accounts WHERE source = %b AND user_id = ANY(%b::uuid[])"

_WALK = """
SELECT user_id FROM followed_accounts WHERE user_id > %b AND source = %b ORDER BY user_id LIMIT %b"""

_HASHES = "SELECT user_id, secret_hash FROM credentials WHERE user_id = ANY(%b::uuid[])"


class FollowedAccounts:
    """The rows of one source, on a connection of its own."""

    def __init__(self, connection: psycopg.AsyncConnection, source: bytes) -> None:
        self._connection = connection
        self._source = source

    async def open(self) -> None:
        await self._connection.execute(SQL(INDEXES_ONLY))

    async def taken(self, ids: Sequence[UUID]) -> Mapping[UUID, datetime | None]:
        """As of which change each was taken, of those that were."""
        return dict(await self._rows(_TAKEN, (list(ids), self._source)))

    async def take(self, taken: Sequence[tuple[UUID, datetime | None]]) -> None:
        """Remember that these were taken, each as of a change."""
        ids, times = [one for one, _ in taken], [time for _, time in taken]
        await self._connection.execute(_TAKE, (self._source, ids, times), binary=True)

    async def leave(self, ids: Sequence[UUID]) -> None:
        """Forget these: they are gone there."""
        await self._connection.execute(_LEAVE, (self._source, list(ids)), binary=True)

    async def walk(self) -> AsyncIterator[list[UUID]]:
        """All that were taken, page by page."""
        last = UUID(int=0)
        while rows := await self._rows(_WALK, (last, self._source, PAGE)):
            yield [row[0] for row in rows]
            last = rows[-1][0]

    async def hashes(self, ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
        """The hash of each one's secret as it is here."""
        return dict(await self._rows(_HASHES, (list(ids),)))

    async def _rows(self, query: Any, values: tuple[Any, ...]) -> list[Any]:
        cursor = await self._connection.execute(query, values, prepare=True, binary=True)
        return await cursor.fetchall()
