"""Asks our own database again and again while it is away, for as long as an import can bear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.sql import SQL

from domain.errors import Unavailable
from infrastructure.postgres.lasting import LastingConnection

PATIENCE = 60.0
"""Seconds for which an import waits for a database that is away or that others keep busy."""

SHORT_PATIENCE = 5.0
"""Seconds for whoever has waited for the database before."""

PAUSE = 0.5

T = TypeVar("T")


class PatientConnection:
    """Statements that find their rows by indexes and may be carried out twice, one at a time."""

    def __init__(self, conninfo: str) -> None:
        self._lasting = LastingConnection(conninfo)

    async def rows(self, statement: SQL, parameters: list[Any]) -> list[tuple[Any, ...]]:
        """What a statement answers. Raises Unavailable where the database stays away for a minute."""
        return await patiently(lambda: self._asked(statement, parameters))

    async def _asked(self, statement: SQL, parameters: list[Any]) -> list[tuple[Any, ...]]:
        try:
            return await self._lasting.rows(statement, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise Unavailable from None

    async def close(self) -> None:
        """Give the connection back."""
        await self._lasting.close()


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
