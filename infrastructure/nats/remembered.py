"""Where the messages of a user stand in a stream whose subjects do not say: rows of `relay_messages`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg

_KEEP = """
INSERT INTO relay_messages (relay, sequence, position, event_id, user_id, stays)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (relay, sequence) DO UPDATE SET (position, event_id, user_id, stays)
    = (excluded.position, excluded.event_id, excluded.user_id, excluded.stays)"""

_OF_USER = """
SELECT sequence, position, event_id, user_id, stays FROM relay_messages
WHERE relay = %s AND user_id = %s AND NOT stays ORDER BY sequence LIMIT %s"""
_DROP = "DELETE FROM relay_messages WHERE relay = %s AND sequence = ANY(%s)"
_DROP_BEFORE = "DELETE FROM relay_messages WHERE relay = %s AND sequence < %s"
_DROP_AFTER = "DELETE FROM relay_messages WHERE relay = %s AND sequence > %s"
_NEWEST = """
SELECT sequence, position, event_id, user_id, stays FROM relay_messages
WHERE relay = %s AND sequence <= %s ORDER BY sequence DESC LIMIT 1"""
_LOST = "SELECT min(position) FROM relay_messages WHERE relay = %s AND sequence > %s"


class Kept(msgspec.Struct, frozen=True):
    """A message of ours in the stream, the event it tells, and whom it is about.

    `stays` marks those that say that the user is gone.
    """

    sequence: int
    position: int
    event_id: UUID
    user_id: UUID
    stays: bool


class Remembered:
    """The rows of one relay."""

    def __init__(self, connection: psycopg.AsyncConnection, relay: str) -> None:
        self._connection = connection
        self._relay = relay

    async def keep(self, messages: Sequence[Kept]) -> None:
        """In the caller's transaction."""
        rows = [(self._relay, *msgspec.structs.astuple(kept)) for kept in messages]
        if rows:
            async with self._connection.cursor() as cursor:
                await cursor.executemany(_KEEP, rows)

    async def of_user(self, user_id: UUID, limit: int) -> list[Kept]:
        """What is to be forgotten with the user, the oldest first."""
        cursor = await self._connection.execute(_OF_USER, (self._relay, user_id, limit))
        return [Kept(*row) for row in await cursor.fetchall()]

    async def drop(self, sequences: Sequence[int]) -> None:
        await self._connection.execute(_DROP, (self._relay, list(sequences)))

    async def drop_before(self, sequence: int) -> None:
        """What the stream has let go of by itself, by its age or its size."""
        await self._connection.execute(_DROP_BEFORE, (self._relay, sequence))

    async def drop_after(self, sequence: int) -> None:
        """What the stream has lost, or what stood in another stream of its name."""
        await self._connection.execute(_DROP_AFTER, (self._relay, sequence))

    async def newest(self, until: int) -> Kept | None:
        """The newest message up to a sequence."""
        cursor = await self._connection.execute(_NEWEST, (self._relay, until))
        row = await cursor.fetchone()
        return Kept(*row) if row else None

    async def first_lost(self, after: int) -> int | None:
        """The lowest position whose message stood beyond a sequence."""
        cursor = await self._connection.execute(_LOST, (self._relay, after))
        row = await cursor.fetchone()
        return row[0] if row else None
