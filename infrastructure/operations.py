"""What operators can ask for and have done: the state of the projections, a rebuild, a look at the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg

from application.operations import Named, Parked, Progress, ProjectionStatus, Rebuilt, UnknownProjection
from application.ports import Recorded, Unreadable
from infrastructure.postgres.notifications import EVENTS, Notifications
from infrastructure.standing import Keys, Standing
from projections.catalogue import READ_MODELS, by_name
from projections.rebuild import rebuild

_STATUS = """
SELECT p.name, p.version, p.generation, p.live, p.position, head.position, p.advanced_at, p.last_error,
       p.owner IS NOT NULL AND p.lease_until > now(),
       (SELECT count(*) FROM parked_streams s
        WHERE (s.projection, s.version, s.generation) = (p.name, p.version, p.generation)),
       (SELECT convert_from(e.state, 'UTF8')::jsonb ->> 'at' FROM events e
        WHERE e.position = p.position + 1)::timestamptz
FROM projections p, (SELECT coalesce(max(position), 0) AS position FROM events) AS head
ORDER BY p.name, p.version, p.generation"""

_PARKED = """
SELECT projection, user_id, position, event_name, reason, attempts, parked_at
FROM parked_streams ORDER BY projection, position"""


class PostgresOperations:
    """Implements the port Operations."""

    def __init__(self, standing: Standing, keys: Keys) -> None:
        self._standing = standing
        self._keys = keys

    def projections(self) -> list[Named]:
        return [Named(model.name, model.version) for model in READ_MODELS]

    def status(self) -> list[ProjectionStatus]:
        with psycopg.connect(self._standing.conninfo, autocommit=True) as connection:
            rows = connection.execute(_STATUS).fetchall()
            now = connection.execute("SELECT now()").fetchone()
        assert now is not None
        return [_status(row, now[0]) for row in rows]

    def parked(self) -> list[Parked]:
        with psycopg.connect(self._standing.conninfo, autocommit=True) as connection:
            cursor = connection.execute(_PARKED)
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            return [Parked(**dict(zip(names, row, strict=True))) for row in cursor]

    def rebuild(self, name: str, progress: Callable[[Progress], None]) -> Rebuilt:
        model = by_name(name)
        if model is None:
            raise UnknownProjection(name, [known.name for known in READ_MODELS])
        return asyncio.run(rebuild(model, self._keys.reader, self._standing.direct, progress))

    async def tail(self, after: int, *, follow: bool) -> AsyncIterator[Recorded | Unreadable]:
        async with Notifications(self._standing.direct, EVENTS) as notifications:
            signal = notifications.signals[EVENTS]
            async with await psycopg.AsyncConnection.connect(
                self._standing.conninfo, autocommit=True
            ) as connection:
                while True:
                    page = await self._keys.reader.read(connection, after, 500)
                    for event in page:
                        yield event
                        after = event.position
                    if not page and not follow:
                        return
                    if not page:
                        await signal.wait(0.5)

    async def stream(self, user_id: UUID) -> list[Recorded | Unreadable]:
        async with await psycopg.AsyncConnection.connect(
            self._standing.conninfo, autocommit=True
        ) as connection:
            return await self._keys.reader.read_stream(connection, user_id)

    async def head(self) -> int:
        async with await psycopg.AsyncConnection.connect(
            self._standing.conninfo, autocommit=True
        ) as connection:
            row = await (await connection.execute("SELECT coalesce(max(position), 0) FROM events")).fetchone()
            assert row is not None
            return int(row[0])


def _status(row: tuple[object, ...], now: datetime) -> ProjectionStatus:
    name, version, generation, live, position, head, advanced_at, error, owned, parked, waiting_since = row
    assert isinstance(head, int)
    assert isinstance(position, int)
    lag = (now - waiting_since).total_seconds() if isinstance(waiting_since, datetime) else 0.0
    state = "building" if not live else "running" if owned else "no owner"
    return msgspec.convert(
        {
            "name": name,
            "version": version,
            "generation": generation,
            "state": state,
            "position": position,
            "head": head,
            "lag_events": head - position,
            "lag_seconds": round(max(lag, 0.0), 3),
            "advanced_at": advanced_at,
            "parked": parked,
            "last_error": error,
        },
        ProjectionStatus,
    )
