"""What operators see of the read models and do to them while they are kept up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row

from application.operations import UnknownProjection
from application.projections import (
    DiscardedEvent,
    NothingParked,
    Parked,
    ProjectionStatus,
    RelayStatus,
    Repaired,
    Step,
    UnknownGeneration,
    UnknownUser,
    Verification,
)
from infrastructure.standing import Keys, Standing
from projections import proof, repair
from projections.catalogue import READ_MODELS, by_name
from projections.readmodel import ReadModel
from projections.verify import TOTALS

_STATUS = """
SELECT p.name, p.version, p.generation, p.state, CASE WHEN p.lease_until > now() THEN p.owner END AS owner,
       p.position, head.position AS head, p.advanced_at, p.checked, p.checked_at, p.paused_at, p.pause_reason,
       p.last_error, CASE WHEN p.last_error IS NOT NULL THEN p.last_error_position END AS last_error_position,
       (SELECT e.name FROM events e WHERE e.position = p.last_error_position AND p.last_error IS NOT NULL)
           AS last_error_event,
       (SELECT count(*) FROM parked_streams s
        WHERE (s.projection, s.version, s.generation) = (p.name, p.version, p.generation)) AS parked,
       (SELECT count(*) FROM projection_differences d
        WHERE (d.projection, d.version, d.generation) = (p.name, p.version, p.generation)) AS differing,
       EXISTS (SELECT FROM projection_differences d
               WHERE (d.projection, d.version, d.generation) = (p.name, p.version, p.generation)
               AND d.user_id = %s) AS totals_differ,
       NOT p.live AND p.left_at IS NOT NULL AS was_live,
       (SELECT e.state FROM events e WHERE e.position = p.position + 1) AS waiting, now() AS now
FROM projections p, (SELECT coalesce(max(position), 0) AS position FROM events) AS head
ORDER BY p.name, p.version, p.generation"""

# What went wrong with nothing to do, a broker that was away say, is in nobody's way.
_HELD = """
SELECT f.name, f.task, f.position, head.position AS head, head.position - f.position AS lag_events,
       f.advanced_at, f.last_error
FROM (SELECT name, 'publishing' AS task, position, advanced_at, last_error FROM relays
      UNION ALL SELECT name, 'reacting', position, advanced_at, last_error FROM reactors) AS f,
     (SELECT coalesce(max(position), 0) AS position FROM events) AS head
WHERE f.last_error IS NOT NULL AND f.position < head.position ORDER BY f.task, f.name"""

_PARKED = """
SELECT projection, version, generation, user_id, position, event_name, reason, attempts, parked_at,
       (SELECT count(*) FROM events e WHERE e.stream_id = s.user_id AND e.position > s.position) AS waiting
FROM parked_streams s ORDER BY projection, version, generation, position"""

_DISCARDED = """
SELECT projection, version, user_id, position, event_version, event_name, reason, by, at
FROM discarded_events ORDER BY projection, version, position"""

_WHERE_PARKED = """
SELECT s.generation, s.user_id FROM parked_streams s JOIN projections p
    ON (p.name, p.version, p.generation) = (s.projection, s.version, s.generation) AND p.state <> 'building'
WHERE s.projection = %s AND s.version = %s AND s.user_id = coalesce(%s, s.user_id)
ORDER BY s.generation, s.position"""

_PAUSE = """
UPDATE projections SET paused_at = coalesce(paused_at, now()), pause_reason = %s,
    fencing = fencing + 1, owner = NULL, lease_until = '-infinity'
WHERE name = %s AND version = %s AND state <> 'building' RETURNING generation"""

_RESUME = """
UPDATE projections SET paused_at = NULL, pause_reason = NULL
WHERE name = %s AND version = %s AND paused_at IS NOT NULL RETURNING generation"""

# Whoever waits for a position looks again, and finds that it need not.
_TELL = "SELECT pg_notify('usersd_projections', '')"

T = TypeVar("T")
Work = Callable[[psycopg.AsyncConnection], Awaitable[T]]

log = logging.getLogger("usersd.projections")


class PostgresReadModels:
    """Implements the port ReadModelOperations."""

    def __init__(self, standing: Standing, keys: Keys) -> None:
        self._standing = standing
        self._keys = keys

    def status(self) -> list[ProjectionStatus]:
        return [_status(row) for row in self._rows(_STATUS, TOTALS)]

    def held(self) -> list[RelayStatus]:
        return [RelayStatus(**row) for row in self._rows(_HELD)]

    def parked(self) -> list[Parked]:
        return [Parked(**row) for row in self._rows(_PARKED)]

    def discarded(self) -> list[DiscardedEvent]:
        return [DiscardedEvent(**row) for row in self._rows(_DISCARDED)]

    def verify(
        self, name: str, step: Step, *, generation: int | None = None, share: float = 1.0
    ) -> Verification:
        return asyncio.run(self._verify(known(name), step, generation, share))

    async def _verify(self, model: ReadModel, step: Step, number: int | None, share: float) -> Verification:
        if number is None:
            async with await self._connect() as connection:
                number = await proof.live(connection, model)
        if number is None:
            raise UnknownGeneration(model.name, 1)
        reader, conninfo = self._keys.reader, self._standing.direct
        return await proof.verify(conninfo, reader, model, number, share=share, step=step)

    def compare(self, name: str, generation: int, other: int) -> Verification:
        work = proof.compare(self._standing.direct, known(name), generation, other)
        return asyncio.run(work)[0]

    def retry(self, name: str, user_id: UUID | None) -> Sequence[Repaired]:
        model = known(name)

        async def work(connection: psycopg.AsyncConnection) -> list[Repaired]:
            cursor = await connection.execute(_WHERE_PARKED, (model.name, model.version, user_id))
            places = await cursor.fetchall()
            if user_id is not None and not places:
                raise NothingParked(name, f"user {user_id}")
            return [
                await repair.repair(connection, self._keys.reader, model, number, user)
                for number, user in places
            ]

        return self._run(work)

    def discard(self, name: str, user_id: UUID, reason: str, by: str) -> Sequence[Repaired]:
        model = known(name)

        async def work(connection: psycopg.AsyncConnection) -> Sequence[Repaired]:
            return await repair.discard(connection, self._keys.reader, model, user_id, reason, by)

        return self._run(work)

    def undo_discard(self, name: str, position: int) -> Sequence[Repaired]:
        model = known(name)

        async def work(connection: psycopg.AsyncConnection) -> Sequence[Repaired]:
            return await repair.undo_discard(connection, self._keys.reader, model, position)

        return self._run(work)

    def repair(self, name: str, user_id: UUID) -> Sequence[Repaired]:
        model = known(name)

        async def work(connection: psycopg.AsyncConnection) -> list[Repaired]:
            if not await repair.is_known(connection, model, user_id):
                raise UnknownUser(name, user_id)
            return [
                await repair.repair(connection, self._keys.reader, model, number, user_id)
                for number in await repair.built(connection, model)
            ]

        return self._run(work)

    def pause(self, name: str, reason: str) -> list[int]:
        model = known(name)
        return self._told(_PAUSE, reason, model.name, model.version)

    def resume(self, name: str) -> list[int]:
        model = known(name)
        return self._told(_RESUME, model.name, model.version)

    def _told(self, statement: str, *parameters: object) -> list[int]:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection, connection.transaction():
            numbers = connection.execute(statement.encode(), parameters).fetchall()
            connection.execute(_TELL)
        return sorted(number for (number,) in numbers)

    def _rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._standing.direct, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def _run(self, work: Work[T]) -> T:
        async def run() -> T:
            async with await self._connect() as connection:
                return await work(connection)

        return asyncio.run(run())

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(self._standing.direct, autocommit=True)


def known(name: str) -> ReadModel:
    """The read model of a name. Raises UnknownProjection."""
    model = by_name(name)
    if model is None:
        raise UnknownProjection(name, [other.name for other in READ_MODELS])
    return model


def _status(row: dict[str, Any]) -> ProjectionStatus:
    now, waiting = row.pop("now"), row.pop("waiting")
    lag = (now - time_of(waiting, now)).total_seconds()
    return ProjectionStatus(
        **row, lag_events=row["head"] - row["position"], lag_seconds=round(max(lag, 0.0), 3)
    )


class _Stored(msgspec.Struct):
    at: datetime


def time_of(state: object, otherwise: datetime) -> datetime:
    """When the event that a projection waits before was appended; it may be one that cannot be read."""
    try:
        return msgspec.json.decode(state, type=_Stored).at if isinstance(state, bytes) else otherwise
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return otherwise
