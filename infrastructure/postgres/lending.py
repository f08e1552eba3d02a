"""Connections that work alike on a server of their own and through a pooler that lends one per transaction.

A pooler in transaction mode (PgBouncer) hands every transaction to whichever server is free. What a session
remembers is then somebody else's: prepared statements, SET, LISTEN, advisory locks, temporary tables. So over
a pooler nothing is prepared, and what a SET would say is said anew in each transaction, in the same round
trip. LISTEN and the like have the direct address.
"""

from __future__ import annotations

import re
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal
from psycopg_pool import AsyncConnectionPool

C = TypeVar("C", bound="Connection")

TRIES = 3
"""How often a second connection has to miss the first one's server before both count as servers' own."""

_SET = re.compile(r"SET (\w+) = '?(\w+)'?")
_PID = "SELECT pg_backend_pid()"


class Connection(psycopg.AsyncConnection[TupleRow]):
    """A connection for statements that stand alone and for whole transactions, whoever lends the server."""

    lent = False
    _settings: Composed | None = None

    async def settle(self, settings: LiteralString) -> None:
        """Have every statement run under `settings`, which reads `SET name = value; SET …`."""
        row = await (await super().execute(_PID)).fetchone()
        # A pooler makes up the process id that it greets with.
        self.lent = row is not None and row[0] != self.info.backend_pid
        if not self.lent:
            await super().execute(settings)
            return
        self.prepare_threshold = None
        words = SQL("set_config({}, {}, true)")
        said = [words.format(Literal(name), Literal(value)) for name, value in _SET.findall(settings)]
        self._settings = SQL("SELECT {}").format(SQL(", ").join(said))

    async def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.AsyncCursor[TupleRow]:
        if self._settings is None or self.info.transaction_status is not TransactionStatus.IDLE:
            return await super().execute(query, params, prepare=prepare, binary=binary)
        # Statements that are sent together are one transaction.
        async with self.pipeline():
            await super().execute(self._settings)
            return await super().execute(query, params, binary=binary)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        outermost = self.info.transaction_status is TransactionStatus.IDLE
        async with super().transaction(savepoint_name, force_rollback) as transaction:
            if self._settings is not None and outermost:
                await super().execute(self._settings)
            yield transaction


async def still_there(connection: psycopg.AsyncConnection[Any]) -> None:
    """That a connection which lay idle can be used. Raises psycopg.OperationalError for one that has ended.

    A server that ends a connection says so or closes it, and says little else while nobody asks it
    anything. So one on which nothing has come in is whole, and is not asked.
    """
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    if heard.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def lends_servers(conninfo: str) -> bool:
    """Whether a pooler stands there that takes a server away between two statements of one connection.

    A pooler that keeps a server for a whole session is as good as none. Raises psycopg.OperationalError.
    """
    with psycopg.connect(conninfo, autocommit=True) as first:
        if _pid(first) == first.info.backend_pid:
            return False
        for _ in range(TRIES):
            held = _pid(first)
            with psycopg.connect(conninfo, autocommit=True) as second:
                if held == _pid(second) or held != _pid(first):
                    return True
    return False


def _pid(connection: psycopg.Connection) -> int:
    row = connection.execute(_PID, prepare=False).fetchone()
    assert row is not None
    return int(row[0])
