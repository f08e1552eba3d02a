"""What operators can ask for and have done: the state of the projections, a rebuild, a look at the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg

from application.operations import (
    Named,
    Parked,
    Progress,
    ProjectionStatus,
    Rebuilt,
    Switched,
    UnknownProjection,
)
from application.ports import Recorded, Unreadable
from infrastructure.postgres.notifications import EVENTS, Notifications
from infrastructure.process import tune
from infrastructure.standing import Keys, Standing
from projections import tables
from projections.catalogue import READ_MODELS, by_name
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.switch import beside, switch

_STATUS = """
SELECT p.name, p.version, p.generation, p.state, p.position, head.position, p.advanced_at, p.last_error,
       p.owner IS NOT NULL AND p.lease_until > now(),
       (SELECT count(*) FROM parked_streams s
        WHERE (s.projection, s.version, s.generation) = (p.name, p.version, p.generation)),
       (SELECT e.state FROM events e WHERE e.position = p.position + 1)
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

    def rebuild(self, name: str, progress: Callable[[Progress], None], *, switching: bool = True) -> Rebuilt:
        model = _model(name)
        tune()
        work = rebuild(model, self._keys.reader, self._standing.direct, progress, switching=switching)
        return asyncio.run(work)

    def switch(self, name: str, *, newer: bool) -> Switched:
        return asyncio.run(self._switch(_model(name), newer=newer))

    async def _switch(self, model: ReadModel, *, newer: bool) -> Switched:
        async with await psycopg.AsyncConnection.connect(
            self._standing.direct, autocommit=True
        ) as connection:
            number = await beside(connection, model, newer=newer)
            return await switch(connection, self._keys.reader, model, number)

    def drop_old(self, name: str) -> list[int]:
        model = _model(name)
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            numbers = tables.old(connection, model)
            for number in numbers:
                tables.drop(connection, model, number)
        return numbers

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


def _model(name: str) -> ReadModel:
    model = by_name(name)
    if model is None:
        raise UnknownProjection(name, [known.name for known in READ_MODELS])
    return model


def _status(row: tuple[object, ...], now: datetime) -> ProjectionStatus:
    name, version, generation, state, position, head, advanced_at, error, owned, parked, waiting = row
    assert isinstance(head, int)
    assert isinstance(position, int)
    lag = (now - time_of(waiting, now)).total_seconds()
    if state != "building" and not owned:
        state = f"{state}, no owner"
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


class _Stored(msgspec.Struct):
    at: datetime


def time_of(state: object, otherwise: datetime) -> datetime:
    """When the event that a projection waits before was appended; it may be one that cannot be read."""
    try:
        return msgspec.json.decode(state, type=_Stored).at if isinstance(state, bytes) else otherwise
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return otherwise
