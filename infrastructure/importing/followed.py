"""Whom the following has taken, and as of when: rows beside the log, so that it goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.sql import SQL

from infrastructure.importing.patient import PatientConnection

PAGE: Final = 10_000

_TAKEN = SQL("""
SELECT f.user_id, f.taken, f.secret, f.times FROM unnest(%b::uuid[]) AS asked (id)
JOIN followed_accounts f ON f.user_id = asked.id AND f.source = %b
WHERE f.times IS NOT NULL OR f.taken IS NOT NULL""")

_TAKE = SQL("""
INSERT INTO followed_accounts (user_id, source, taken, secret, times)
SELECT fresh.id, %b, fresh.taken, fresh.secret, fresh.times
FROM unnest(%b::uuid[], %b::timestamp[], %b::bytea[], %b::bytea[]) AS fresh (id, taken, secret, times)
ON CONFLICT (user_id, source)
DO UPDATE SET taken = excluded.taken, secret = excluded.secret, times = excluded.times""")

_NOTE = SQL("""
INSERT INTO followed_accounts (user_id, source) SELECT fresh.id, %b FROM unnest(%b::uuid[]) AS fresh (id)
ON CONFLICT DO NOTHING""")

_LEAVE = SQL("DELETE FROM followed_accounts WHERE source = %b AND user_id = ANY(%b::uuid[])")

_WALK = SQL("""
SELECT user_id FROM followed_accounts WHERE user_id > %b AND source = %b ORDER BY user_id LIMIT %b""")

_OPEN = SQL("SELECT user_id FROM credentials WHERE user_id = ANY(%b::uuid[]) AND status <> 'deleted'")

_HASHES = SQL("SELECT user_id, secret_hash FROM credentials WHERE user_id = ANY(%b::uuid[])")


_HOLDERS = SQL("""
SELECT n.kind, n.digest, n.user_id FROM unnest(%b::text[], %b::bytea[]) AS asked (kind, digest)
JOIN names n USING (kind, digest)""")

Name = tuple[str, bytes]
"""The kind of a name and the keyed hash under which it is reserved."""


class Taken(msgspec.Struct, frozen=True):
    """As of which change there an account was taken, which hash of its secret and which times of its row.

    None: nobody noted it.
    """

    changed: datetime | None
    secret: bytes | None = None
    times: bytes | None = None


def secret_digest(hashed: str | None) -> bytes:
    """What tells the hash of a secret from others; of no secret, too."""
    return hashlib.sha256((hashed or "").encode()).digest()[:16]


class FollowedAccounts:
    """The rows of one source, on a connection of its own that comes back.

    Each raises Unavailable where the database stays away for a minute.
    """

    def __init__(self, conninfo: str, source: bytes) -> None:
        self._source = source
        self._connection = PatientConnection(conninfo)

    async def close(self) -> None:
        """Give the connection back."""
        await self._connection.close()

    async def taken(self, ids: Sequence[UUID]) -> Mapping[UUID, Taken]:
        """As of what each was taken, of those that were."""
        rows = await self._connection.rows(_TAKEN, [list(ids), self._source])
        return {one: Taken(changed, secret, times) for one, changed, secret, times in rows}

    async def take(self, taken: Mapping[UUID, Taken]) -> None:
        """Remember that these were taken, each as of something."""
        columns = (
            list(taken),
            [one.changed for one in taken.values()],
            [one.secret for one in taken.values()],
            [one.times for one in taken.values()],
        )
        await self._connection.rows(_TAKE, [self._source, *columns])

    async def note(self, ids: Sequence[UUID]) -> None:
        """Remember that these come from there, so that they are missed when they are gone."""
        await self._connection.rows(_NOTE, [self._source, list(ids)])

    async def leave(self, ids: Sequence[UUID]) -> None:
        """Forget these: they are gone there."""
        await self._connection.rows(_LEAVE, [self._source, list(ids)])

    async def walk(self) -> AsyncIterator[list[UUID]]:
        """All that were taken or noted, page by page."""
        last = UUID(int=0)
        while rows := await self._connection.rows(_WALK, [last, self._source, PAGE]):
            yield [row[0] for row in rows]
            last = rows[-1][0]

    async def still_open(self, ids: Sequence[UUID]) -> list[UUID]:
        """Those that nobody has deleted here."""
        return [row[0] for row in await self._connection.rows(_OPEN, [list(ids)])]

    async def hashes(self, ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
        """The hash of each one's secret as it is here."""
        return dict(await self._connection.rows(_HASHES, [list(ids)]))

    async def holders(self, names: Sequence[Name]) -> Mapping[Name, UUID]:
        """Who has each of the names here, of those that somebody has."""
        kinds, digests = [kind for kind, _ in names], [digest for _, digest in names]
        rows = await self._connection.rows(_HOLDERS, [kinds, digests])
        return {(kind, bytes(digest)): one for kind, digest, one in rows}
