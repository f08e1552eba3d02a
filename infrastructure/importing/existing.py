"""What the log holds already of the accounts that come: asked for many at once, through lost connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.sql import SQL

from application.import_runs import Code, Settled, against_first, refused, settled
from application.importing import Offered
from application.ports import Recorded, Unreadable
from domain.errors import Unavailable
from domain.events import Imported
from infrastructure.event_store.log import EventReader
from infrastructure.postgres.lasting import INDEXES_ONLY
from infrastructure.postgres.reads import PointReads

PATIENCE = 60.0
"""Seconds for which an import waits for a database that is away or that others keep busy."""

SHORT_PATIENCE = 5.0
"""Seconds for whoever has waited for the database before."""
PAUSE = 0.5

First = Recorded | Unreadable
T = TypeVar("T")

_FIRSTS = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM unnest(%b::uuid[]) AS asked (id)
JOIN events e ON e.stream_id = asked.id AND e.version = 1
LEFT JOIN user_keys k ON k.user_id = asked.id"""

_TAKEN = SQL("""
SELECT asked.kind, asked.digest FROM unnest(%b::text[], %b::bytea[]) AS asked (kind, digest)
WHERE EXISTS (SELECT FROM names n WHERE n.kind = asked.kind AND n.digest = asked.digest)""")


class Existing:
    """Reads on one connection of its own. Each raises Unavailable where the database stays away."""

    def __init__(self, conninfo: str, reader: EventReader) -> None:
        self._conninfo = conninfo
        self._reader = reader
        self._connection: psycopg.AsyncConnection | None = None
        self._single = PointReads[UUID, Any](conninfo, _FIRSTS, lambda rows: ((row[1], row) for row in rows))

    async def firsts(self, ids: Sequence[UUID]) -> Mapping[UUID, First]:
        """The first event of each id that has any."""
        rows = await self._rows(SQL(_FIRSTS), (list(ids),))
        return {event.user_id: event for event in self._reader.open_page(rows)}

    async def first(self, user_id: UUID) -> First | None:
        """The first event of one id; many who ask at once share a statement."""
        row = await patiently(lambda: self._single.get(user_id), SHORT_PATIENCE)
        return self._reader.open_page([row])[0] if row else None

    async def taken(self, names: Sequence[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
        """Those of the names, each a kind and a digest, that somebody has."""
        kinds, digests = [kind for kind, _ in names], [digest for _, digest in names]
        return {(kind, bytes(digest)) for kind, digest in await self._rows(_TAKEN, (kinds, digests))}

    async def close(self) -> None:
        """Give the connections back."""
        await self._single.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _rows(self, query: SQL, values: tuple[Any, ...]) -> list[Any]:
        return await patiently(lambda: self._asked(query, values))

    async def _asked(self, query: SQL, values: tuple[Any, ...]) -> list[Any]:
        try:
            connection = await self._connected()
            cursor = await connection.execute(query, values, prepare=True, binary=True)
            return await cursor.fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            await self._disconnect()
            raise Unavailable from None

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            await self._connection.execute(SQL(INDEXES_ONLY))
        return self._connection


async def patiently(ask: Callable[[], Awaitable[T]], patience: float = PATIENCE) -> T:
    """Ask until the database answers. Raises Unavailable where it stays away."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE)


def beside(offered: Offered, event: Imported, first: First) -> Settled:
    """What becomes of a row whose id has a history already, by the first event of it."""
    code: Code | None
    if first.forgotten:
        code = "erased"
    elif isinstance(first, Unreadable):
        code = "id_taken"
    else:
        code = against_first(event, first.event)
    return refused(offered, code) if code else settled(offered, "already")
