"""What the log holds already of the accounts that come: asked for many at once, through lost connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.sql import SQL

from application.import_runs import Code, Settled, against_first, refused, settled
from application.importing import Offered
from application.ports import Recorded, Unreadable
from domain.events import Imported
from infrastructure.event_store.log import EventReader
from infrastructure.importing.patient import SHORT_PATIENCE, PatientConnection, patiently
from infrastructure.postgres.reads import PointReads

First = Recorded | Unreadable

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
        self._reader = reader
        self._connection = PatientConnection(conninfo)
        self._single = PointReads[UUID, Any](conninfo, _FIRSTS, lambda rows: ((row[1], row) for row in rows))

    async def firsts(self, ids: Sequence[UUID]) -> Mapping[UUID, First]:
        """The first event of each id that has any."""
        rows = await self._connection.rows(SQL(_FIRSTS), [list(ids)])
        return {event.user_id: event for event in self._reader.open_page(rows)}

    async def first(self, user_id: UUID) -> First | None:
        """The first event of one id; many who ask at once share a statement."""
        row = await patiently(lambda: self._single.get(user_id), SHORT_PATIENCE)
        return self._reader.open_page([row])[0] if row else None

    async def taken(self, names: Sequence[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
        """Those of the names, each a kind and a digest, that somebody has."""
        kinds, digests = [kind for kind, _ in names], [digest for _, digest in names]
        return {
            (kind, bytes(digest)) for kind, digest in await self._connection.rows(_TAKEN, [kinds, digests])
        }

    async def close(self) -> None:
        """Give the connections back."""
        await self._single.close()
        await self._connection.close()


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
