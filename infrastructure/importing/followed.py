"""Whom the following has taken, and as of when: rows beside the log, so that it goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL

from infrastructure.postgres.lasting import INDEXES_ONLY

PAGE: Final = 10_000

_TAKEN = """
SELECT f.user_id, f.taken, f.secret FROM unnest(%b::uuid[]) AS asked (id)
JOIN followed_accounts f ON f.user_id = asked.id AND f.source = %b"""

_TAKE = """
INSERT INTO followed_accounts (user_id, source, taken, secret)
SELECT fresh.id, %b, fresh.taken, fresh.secret
FROM unnest(%b::uuid[], %b::timestamp[], %b::bytea[]) AS fresh (id, taken, secret)
ON CONFLICT (user_id, source) DO UPDATE SET taken = excluded.taken, secret = excluded.secret"""

_LEAVE = "DELETE FROM followed_accounts WHERE source = %b AND user_id = ANY(%b::uuid[])"

_WALK = """
SELECT user_id FROM followed_accounts WHERE user_id > %b AND source = %b ORDER BY user_id LIMIT %b"""

_HASHES = "SELECT user_id, secret_hash FROM credentials WHERE user_id = ANY(%b::uuid[])"


_HOLDERS = """
SELECT n.kind, n.digest, n.user_id FROM unnest(%b::text[], %b::bytea[]) AS asked (kind, digest)
JOIN names n USING (kind, digest)"""

Name = tuple[str, bytes]
"""The kind of a name and the keyed hash under which it is reserved."""


class Taken(msgspec.Struct, frozen=True):
    """As of which change there an account was taken, and which hash of its secret; None: nobody noted it."""

    changed: datetime | None
    secret: bytes | None = None


def secret_digest(hashed: str | None) -> bytes:
    """What tells the hash of a secret from others; of no secret, too."""
    return hashlib.sha256((hashed or "").encode()).digest()[:16]


class FollowedAccounts:
    """The rows of one source, on a connection of its own."""

    def __init__(self, connection: psycopg.AsyncConnection, source: bytes) -> None:
        self._connection = connection
        self._source = source

    async def open(self) -> None:
        await self._connection.execute(SQL(INDEXES_ONLY))

    async def taken(self, ids: Sequence[UUID]) -> Mapping[UUID, Taken]:
        """As of what each was taken, of those that were."""
        rows = await self._rows(_TAKEN, (list(ids), self._source))
        return {one: Taken(changed, secret) for one, changed, secret in rows}

    async def take(self, taken: Mapping[UUID, Taken]) -> None:
        """Remember that these were taken, each as of something."""
        columns = (
            list(taken),
            [one.changed for one in taken.values()],
            [one.secret for one in taken.values()],
        )
        await self._connection.execute(_TAKE, (self._source, *columns), binary=True)

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

    async def holders(self, names: Sequence[Name]) -> Mapping[Name, UUID]:
        """Who has each of the names here, of those that somebody has."""
        kinds, digests = [kind for kind, _ in names], [digest for _, digest in names]
        rows = await self._rows(_HOLDERS, (kinds, digests))
        return {(kind, bytes(digest)): one for kind, digest, one in rows}

    async def _rows(self, query: Any, values: tuple[Any, ...]) -> list[Any]:
        cursor = await self._connection.execute(query, values, prepare=True, binary=True)
        return await cursor.fetchall()
