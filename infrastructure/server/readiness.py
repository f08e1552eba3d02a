"""Whether a process can do its work at this moment: what `/readyz` and gRPC's health service answer."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from infrastructure.bootstrap import Service
from infrastructure.postgres.migrate import MigrationError, shape_now
from infrastructure.reads.readiness import unread
from interfaces.http.operations import Readiness
from projections.catalogue import READ_MODELS

PATIENCE = 2.0
"""Seconds after which whoever asks is answered without the database."""

ABANDONED = 10.0
"""Seconds after which a look that got no answer at all is given up."""

_PAUSED = "SELECT string_agg(DISTINCT name, ', ') FROM projections WHERE live AND paused_at IS NOT NULL"


def readiness_of(
    service: Service, *, answers: bool = True, leaving: asyncio.Event | None = None
) -> Readiness:
    """Looks anew at each call; the read models matter only to a process that answers from them.

    Once `leaving` is set, it is unready whatever it stands on.
    """
    looks = _Looks(service, answers)

    async def readiness() -> dict[str, str]:
        checks = await looks.now()
        if leaving is not None and leaving.is_set():
            checks["process"] = "it is stopping"
        return checks

    return readiness


class _Looks:
    """One look at the database at a time, shared by all who ask meanwhile.

    A database that hangs is then asked once in a while, however often probes come, and each of them is
    answered.
    """

    def __init__(self, service: Service, answers: bool) -> None:
        self._service = service
        self._answers = answers
        self._looking: asyncio.Task[dict[str, str]] | None = None

    async def now(self) -> dict[str, str]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="a look for readiness")
        await asyncio.wait({self._looking}, timeout=PATIENCE)
        if not self._looking.done():
            return {"postgres": f"no answer within {PATIENCE:.0f} s"}
        return dict(self._looking.result())

    async def _look(self) -> dict[str, str]:
        checks = {"postgres": "ok"}
        try:
            async with asyncio.timeout(ABANDONED), self._service.pool.connection(PATIENCE) as connection:
                await connection.execute("SELECT 1")
                checks["schema"] = await _schema(connection)
                if self._answers:
                    checks |= await _read_models(connection)
        except Exception as error:
            checks["postgres"] = type(error).__name__
        return checks


async def _schema(connection: psycopg.AsyncConnection[Any]) -> str:
    try:
        missing = (await shape_now(connection)).missing
    except (psycopg.ProgrammingError, MigrationError) as error:
        return type(error).__name__
    return "migrations are missing: run usersd migrate" if missing else "ok"


async def _read_models(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """How far they are, and those that operators have paused: they answer, so nobody is unready for it."""
    try:
        found = {"read_models": await unread(connection, READ_MODELS)}
        row = await (await connection.execute(_PAUSED)).fetchone()
    except psycopg.ProgrammingError as error:
        return {"read_models": type(error).__name__}
    return found | ({"paused": row[0]} if row and row[0] else {})
