"""Concurrent rotations of sessions share one statement and one flush, as concurrent appends do."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL

from domain.errors import Unavailable
from infrastructure.postgres.lasting import LastingConnection

MOST_AT_ONCE = 200

# A row that somebody else has locked is passed over, so that a statement on many rows never waits with some
# of them in its hands; whoever was passed over looks again.
_ROTATE = SQL("""
WITH v AS MATERIALIZED (
    SELECT * FROM unnest(%b::uuid[], %b::bytea[], %b::bytea[], %b::int[], %b::timestamptz[],
                         %b::timestamptz[], %b::text[])
             AS v (id, shown, made, kept, at, until, network)
), free AS MATERIALIZED (
    SELECT s.id FROM sessions s WHERE s.id IN (SELECT v.id FROM v) FOR UPDATE SKIP LOCKED
)
UPDATE sessions s
SET token_hash = v.made, rotated_at = v.at, expires_at = v.until, used_from = v.network,
    used_hashes = (s.used_hashes || v.shown)[cardinality(s.used_hashes) + 2 - v.kept :],
    used_at = (s.used_at || v.at)[cardinality(s.used_at) + 2 - v.kept :],
    until = (s.until || v.until)[cardinality(s.until) + 2 - v.kept :]
FROM v JOIN free USING (id)
WHERE s.id = v.id AND s.token_hash = v.shown
RETURNING s.id, s.token_hash, s.epoch""")


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a session: the hash of the token shown, and of the one that takes its place.

    `kept` says how many used-up tokens the session remembers then, this one with them.
    """

    session_id: UUID
    shown: bytes
    made: bytes
    kept: int
    at: datetime
    until: datetime
    network: str


class Rotations:
    """Makes rotations, many at a time, on a connection of its own."""

    def __init__(self, conninfo: str) -> None:
        self._connection = LastingConnection(conninfo)
        self._asked: list[tuple[Rotation, asyncio.Future[int | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def make(self, rotation: Rotation) -> int | None:
        """The epoch under which the session goes on; None where it was not as the rotation has it.

        Raises Unavailable without a database; whether the rotation was made is then not known.
        """
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._asked.append((rotation, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="rotations")
        return await future

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        _fail(self._asked)
        await self._connection.close()

    async def _run(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:MOST_AT_ONCE], self._asked[MOST_AT_ONCE:]
            try:
                epochs = await self._made([rotation for rotation, _ in batch])
            except BaseException as error:
                _fail(batch)
                if not isinstance(error, psycopg.Error):
                    raise
                continue
            for rotation, future in batch:
                if not future.done():
                    future.set_result(epochs.get((rotation.session_id, rotation.made)))

    async def _made(self, batch: list[Rotation]) -> dict[tuple[UUID, bytes], int]:
        columns = [[getattr(rotation, name) for rotation in batch] for name in Rotation.__struct_fields__]
        # Should it be said twice, and the first time have been carried out all the same, the second finds the
        # sessions rotated, and each caller within the grace.
        rows = await self._connection.rows(_ROTATE, columns)
        return {(row[0], bytes(row[1])): row[2] for row in rows}


def _fail(batch: list[tuple[Rotation, asyncio.Future[int | None]]]) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(Unavailable())
