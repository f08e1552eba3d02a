"""What only the database knows, read for each scrape by three statements of a second at most each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from infrastructure.operations.readmodels import time_of
from infrastructure.telemetry import backlog
from infrastructure.telemetry.backlog import Backlog, backlog_of

PATIENCE = 2.0
"""Seconds after which a scrape goes on without the database."""

ABANDONED = 10.0
"""Seconds after which a statement that got no answer at all is given up with its connection."""

COUNTED = 10_000

_LIMITS = "SET statement_timeout = 1000"

_READ = """
WITH head AS (SELECT coalesce(max(position), 0) AS position FROM events),
counted AS (SELECT count(*) AS open FROM (
    SELECT 1 FROM sessions WHERE expires_at > now() LIMIT %(counted)s) AS first_ones),
readers AS (
    SELECT 'projection' AS kind, p.name, p.state, p.generation,
           p.owner IS NOT NULL AND p.lease_until > now() AS owned, p.position,
           (SELECT count(*) FROM parked_streams s
            WHERE (s.projection, s.version, s.generation) = (p.name, p.version, p.generation)) AS parked,
           (SELECT count(*) FROM projection_differences d
            WHERE (d.projection, d.version, d.generation) = (p.name, p.version, p.generation)) AS differing,
           p.checked, p.paused_at IS NOT NULL AS paused
    FROM projections p
    WHERE (p.name, p.version) IN (SELECT * FROM unnest(%(names)s::text[], %(versions)s::int[]))
    UNION ALL
    SELECT 'relay', name, 'live', 0, owner IS NOT NULL AND lease_until > now(), position, 0, 0, 0, false
    FROM relays
    WHERE name = ANY(%(relays)s::text[])
    UNION ALL
    SELECT 'reactor', name, 'live', 0, owner IS NOT NULL AND lease_until > now(), position, 0, 0, 0, false
    FROM reactors
    WHERE name = ANY(%(reactors)s::text[]))
SELECT now(), head.position,
       CASE WHEN counted.open < %(counted)s THEN counted.open
            ELSE greatest(counted.open, (SELECT reltuples FROM pg_class WHERE oid = 'sessions'::regclass))
       END,
       r.kind, r.name, r.state, r.generation, r.owned, r.position, r.parked, r.differing, r.checked, r.paused,
       e.state
FROM head CROSS JOIN counted LEFT JOIN readers r ON true
LEFT JOIN events e ON e.position = r.position + 1
ORDER BY r.kind, r.name, r.generation"""

log = logging.getLogger("usersd.telemetry")


class Follower(msgspec.Struct, frozen=True):
    """Where a reader of the log stands: a generation of a projection, a relay, a reactor."""

    kind: str
    name: str
    state: str
    generation: int
    owned: bool
    position: int
    parked: int
    differing: int
    checked: int
    paused: bool
    lag_seconds: float


class Figures(msgspec.Struct, frozen=True):
    """One reading; what is empty was not to be had."""

    up: bool = False
    head: int = 0
    sessions: int = 0
    followers: tuple[Follower, ...] = ()
    backlog: Backlog = Backlog()
    unsigned_seconds: float = 0.0


NOTHING = Figures()


class Database:
    """Reads the figures over a connection of its own, so that a busy pool never looks like a dead database.

    Scrapes that come together share one reading: however many ask, the database is asked one at a time.
    """

    def __init__(
        self,
        conninfo: str,
        versions: Mapping[str, int],
        relays: Sequence[str] = ("users",),
        reactors: Sequence[str] = (),
        jobs: Sequence[str] = (),
    ) -> None:
        """The names of whatever the settings of this process switch on: what is off may well stand still."""
        self._conninfo = conninfo
        self._asked = {
            "names": list(versions),
            "versions": list(versions.values()),
            "relays": list(relays),
            "reactors": list(reactors),
            "counted": COUNTED,
        }
        self._asked_of_work = {"jobs": list(jobs), "counted": COUNTED}
        self._connection: psycopg.AsyncConnection | None = None
        self._reading: asyncio.Task[Figures] | None = None

    async def read(self) -> Figures:
        """The figures, or nothing within PATIENCE; raises nothing."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="figures for a scrape")
        await asyncio.wait({self._reading}, timeout=PATIENCE)
        if self._reading.done() and not self._reading.cancelled():
            return self._reading.result()
        return NOTHING

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=PATIENCE)
        await self._disconnect()

    async def _read(self) -> Figures:
        # A connection that lay idle may have died meanwhile; a fresh one tells.
        for _ in range(1 if self._connection is None else 2):
            try:
                async with asyncio.timeout(ABANDONED):
                    connection = await self._connected()
                    async with connection.pipeline():
                        readers = await connection.execute(_READ, self._asked)
                        work = await connection.execute(backlog.READ, self._asked_of_work)
                    figures = _figures(await readers.fetchall(), await work.fetchall())
                    return await _with_unsigned(connection, figures)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.debug("no figures from the database: %s", type(error).__name__)
                await self._disconnect()
        return NOTHING

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            await connection.execute(_LIMITS)
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()


def _figures(rows: list[tuple[Any, ...]], work: list[tuple[Any, ...]]) -> Figures:
    now, head, sessions, *_ = rows[0]
    followers = tuple(_follower(row[3:], now) for row in rows if row[3] is not None)
    return Figures(True, head, int(sessions), followers, backlog_of(work[0]))


async def _with_unsigned(connection: psycopg.AsyncConnection, figures: Figures) -> Figures:
    signed = figures.backlog.checkpoint
    found = await connection.execute(backlog.FIRST_BEHIND, (signed.position if signed else 0,))
    row = await found.fetchone()
    return figures if row is None else msgspec.structs.replace(figures, unsigned_seconds=_age(row[1], row[0]))


def _follower(row: tuple[Any, ...], now: datetime) -> Follower:
    return Follower(*[*row[:-1], _age(row[-1], now)])


def _age(state: object, now: datetime) -> float:
    return max((now - time_of(state, now)).total_seconds(), 0.0)
