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
from infrastructure.postgres.lasting import LastingConnection

K = TypeVar("K")
V = TypeVar("V")

MAX_KEYS = 500

NOT_BUILT = "What this is answered from is being built from the log; try again later."
"""A table is missing only until the first generation of a read model is whole: nobody sees part of it."""

log = logging.getLogger("usersd.reads")


class PointReads(Generic[K, V]):
    """Answers `get(key)` with what one statement finds for it, many keys at a time.

    `query` takes an array of keys, or what `columns` makes of them; `group` makes a mapping of its rows. A
    key that is asked for while a statement runs goes into the next one, so an answer is never older than its
    question.
    """

    def __init__(
        self,
        conninfo: str,
        query: LiteralString,
        group: Callable[[Sequence[tuple[Any, ...]]], Iterable[tuple[K, V]]],
        columns: Callable[[list[K]], list[Any]] = lambda keys: [keys],
    ) -> None:
        self._connection = LastingConnection(conninfo)
        self._query = SQL(query)
        self._group = group
        self._columns = columns
        self._asked: dict[K, list[asyncio.Future[V | None]]] = {}
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
        await self._connection.close()

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
        return dict(self._group(await self._connection.rows(self._query, self._columns(keys))))


def _as_refusal(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return Unavailable(NOT_BUILT)
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return Unavailable()
    return error if isinstance(error, Exception) else Unavailable()
