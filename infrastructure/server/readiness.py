"""Whether a process can do its work at this moment: what `/readyz` and gRPC's health service answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from infrastructure.bootstrap import Service
from infrastructure.postgres.migrate import MigrationError, shape_now
from infrastructure.reads.readiness import unread
from interfaces.http.operations import Readiness
from projections.catalogue import READ_MODELS

PATIENCE = 2.0
"""Seconds after which whoever asks is answered without the database."""

CONNECTING = 1.0
"""Seconds for a connection, of those for the whole."""

ABANDONED = 10.0
"""Seconds after which a look that got no answer at all is given up."""

_UNMIGRATED = "migrations are missing: run usersd migrate"

# Everybody may ask, so what a server says of hosts, users and statements stays in the log.
_TROUBLES: Sequence[tuple[type[Exception], str]] = (
    (PoolTimeout, f"no connection within {CONNECTING:.0f} s"),
    (TimeoutError, f"no answer within {ABANDONED:.0f} s"),
    (errors.InsufficientPrivilege, "the database user may not read what is needed"),
    (errors.UndefinedTable, _UNMIGRATED),
    (errors.UndefinedColumn, _UNMIGRATED),
    (errors.ReadOnlySqlTransaction, "it takes no writes"),
    (psycopg.OperationalError, "the connection was lost"),
    (psycopg.InterfaceError, "the connection was lost"),
)

_PAUSED = "SELECT string_agg(DISTINCT name, ', ') FROM projections WHERE live AND paused_at IS NOT NULL"

log = logging.getLogger("usersd.readiness")


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
            async with asyncio.timeout(ABANDONED), self._service.pool.connection(CONNECTING) as connection:
                await connection.execute("SELECT 1")
                checks["schema"] = await _schema(connection)
                if self._answers:
                    checks |= await _read_models(connection)
        except Exception as error:
            checks["postgres"] = _trouble(error)
        return checks


async def _schema(connection: psycopg.AsyncConnection[Any]) -> str:
    try:
        missing = (await shape_now(connection)).missing
    except MigrationError as error:
        return str(error)
    except psycopg.ProgrammingError as error:
        return _trouble(error)
    return _UNMIGRATED if missing else "ok"


async def _read_models(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """How far they are, and those that operators have paused: they answer, so nobody is unready for it."""
    try:
        found = {"read_models": await unread(connection, READ_MODELS)}
        row = await (await connection.execute(_PAUSED)).fetchone()
    except psycopg.ProgrammingError as error:
        return {"read_models": _trouble(error)}
    return found | ({"paused": row[0]} if row and row[0] else {})


def _trouble(error: Exception) -> str:
    """What is wrong, in the words of whoever runs the database."""
    for kind, words in _TROUBLES:
        if isinstance(error, kind):
            return words
    log.error("readiness cannot be told (%s)", type(error).__name__)
    return "it answers what was not expected; the log tells more"
