"""Concurrent point reads share one statement, as concurrent appends share one flush."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, LiteralString, TypeVar

import psycopg
from psycopg.sql import SQL

from domain.errors import Unavailable
from infrastructure.postgres.lending import Connection

K = TypeVar("K")
V = TypeVar("V")

MAX_KEYS = 500

NOT_BUILT = "What this is answered from is being built from the log; try again later."
"""A table is missing only until the first generation of a read model is whole: nobody sees part of it."""

# A plan that was cached while a table was empty would scan it whole for ever; point reads never should.
INDEXES_ONLY: LiteralString = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)

log = logging.getLogger("usersd.reads")


class PointReads(Generic[K, V]):
    """Answers `get(key)` with what one statement finds for it, many keys at a time.

    `query` takes an array of keys; `group` makes a mapping of its rows. A key that is asked for while a
    statement runs goes into the next one, so an answer is never older than its question.
    """

    def __init__(
        self,
        conninfo: str,
        query: LiteralString,
        group: Callable[[Sequence[tuple[Any, ...]]], Iterable[tuple[K, V]]],
    ) -> None:
        self._conninfo = conninfo
        self._query = SQL(query)
        self._group = group
        self._asked: dict[K, list[asyncio.Future[V | None]]] = {}
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What the statement finds for a key, or None. Raises Unavailable without a database."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="point reads")
        return await future

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for futures in self._asked.values():
            for future in futures:
                if not future.done():
                    future.set_exception(Unavailable())
        self._asked.clear()
        await self._disconnect()

    async def _run(self) -> None:
        while self._asked:
            keys = list(self._asked)[:MAX_KEYS]
            asked = [(key, self._asked.pop(key)) for key in keys]
            try:
                found = await self._read(keys)
            except BaseException as error:
                for _, futures in asked:
                    for future in futures:
                        if not future.done():
                            future.set_exception(_as_refusal(error))
                if not isinstance(error, Exception):
                    raise
                continue
            for key, futures in asked:
                for future in futures:
                    if not future.done():
                        future.set_result(found.get(key))

    async def _read(self, keys: list[K]) -> dict[K, V]:
        for attempt in (1, 2):
            try:
                connection = await self._connected()
                cursor = await connection.execute(self._query, (keys,), prepare=True, binary=True)
                return dict(self._group(await cursor.fetchall()))
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # The connection may have died while it lay idle; a fresh one tells.
                await self._disconnect()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def _connected(self) -> Connection:
        if self._connection is None:
            connection = await Connection.connect(self._conninfo, autocommit=True)
            await connection.settle(INDEXES_ONLY)
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None


def _as_refusal(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return Unavailable(NOT_BUILT)
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return Unavailable()
    return error if isinstance(error, Exception) else Unavailable()
