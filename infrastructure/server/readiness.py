"""Whether a process can do its work at this moment: what `/readyz` and gRPC's health service answer."""

from __future__ import annotations

import asyncio

import psycopg

from infrastructure.bootstrap import Service
from infrastructure.postgres.migrate import MigrationError, pending
from infrastructure.reads.readiness import unread
from infrastructure.standing import Standing
from interfaces.http.operations import Readiness
from projections.catalogue import READ_MODELS

_PAUSED = "SELECT string_agg(DISTINCT name, ', ') FROM projections WHERE live AND paused_at IS NOT NULL"


def readiness_of(
    service: Service, standing: Standing, *, answers: bool = True, leaving: asyncio.Event | None = None
) -> Readiness:
    """Looks anew at each call; the read models matter only to a process that answers from them.

    Once `leaving` is set, it is unready whatever it stands on.
    """

    async def readiness() -> dict[str, str]:
        checks = {
            "postgres": await _postgres(service),
            "schema": await asyncio.to_thread(_schema, standing),
        }
        if answers:
            checks |= {"read_models": await _read_models(service), **await _paused(service)}
        if leaving is not None and leaving.is_set():
            checks["process"] = "it is stopping"
        return checks

    return readiness


async def _postgres(service: Service) -> str:
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            await connection.execute("SELECT 1")
        return "ok"
    except Exception as error:
        return type(error).__name__


async def _read_models(service: Service) -> str:
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            return await unread(connection, READ_MODELS)
    except Exception as error:
        return type(error).__name__


async def _paused(service: Service) -> dict[str, str]:
    """The read models that operators have paused; they answer as they are, so nobody is unready for it."""
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            row = await (await connection.execute(_PAUSED)).fetchone()
    except Exception:
        return {}
    return {"paused": row[0]} if row and row[0] else {}


def _schema(standing: Standing) -> str:
    try:
        return "ok" if not pending(standing.conninfo) else "migrations are missing: run usersd migrate"
    except (psycopg.Error, MigrationError) as error:
        return type(error).__name__
