"""A standby that may answer in the primary's place, and is left alone for a while where it does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import psycopg

from application.outages import first_line
from infrastructure.postgres.lending import Connection
from infrastructure.postgres.pool import SETTLED

T = TypeVar("T")

LEFT_ALONE = 5.0
"""Seconds for which nobody asks a replica that did not answer; then one request asks for all."""

PATIENCE = 2.0
"""Seconds after which the primary is asked instead."""

_IDENTITY = "SELECT system_identifier FROM pg_control_system()"

_NO_FAULT_OF_ITS = (psycopg.errors.SerializationFailure, psycopg.errors.UndefinedTable)
"""A statement in the way of what is replayed is ended there, and what was made may not have arrived yet."""

log = logging.getLogger("usersd.replica")


class ReplicaStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted: reads that it answered, and those that it was asked for and the primary answered."""

    up: bool
    answered: int
    passed_on: int


class _NoStandby(Exception):
    """What answers there is another database."""


class Replica:
    """Reads on a standby, at most `size` at a time; whatever it cannot do is left to the primary."""

    def __init__(self, conninfo: str, primary: str, size: int) -> None:
        self._conninfo = conninfo
        self._primary = primary
        self._free = size
        self._identity: int | None = None
        self._idle: list[Connection] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._away = False
        self._ask_again = 0.0
        self._answered = 0
        self._passed_on = 0

    async def ask(self, read: Callable[[Connection], Awaitable[T | None]]) -> T | None:
        """What `read` answers there; None where it answers None, and where the primary has to be asked."""
        found = await self._asked(read)
        if found is None:
            self._passed_on += 1
        else:
            self._answered += 1
        return found

    async def try_out(self) -> None:
        """Ask it for nothing, so that one that cannot be used is told of before anybody waits for it."""
        await self._asked(_nothing)

    def standing(self) -> ReplicaStanding:
        return ReplicaStanding(up=not self._away, answered=self._answered, passed_on=self._passed_on)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        await self._drop_idle()

    async def _asked(self, read: Callable[[Connection], Awaitable[T | None]]) -> T | None:
        if self._free == 0 or (self._away and time.monotonic() < self._ask_again):
            return None
        self._ask_again = time.monotonic() + LEFT_ALONE
        # A statement is not cancelled: that takes a connection to a server that may not answer at all.
        task = asyncio.create_task(self._read(read), name="replica")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
        if not done:
            self._lost("it does not answer")
            return None
        try:
            found = task.result()
        except _NO_FAULT_OF_ITS:
            return None
        except _NoStandby as fault:
            self._lost(str(fault))
            return None
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            self._lost(
                f"{first_line(error)}. Is a standby up there? MG_USERS_DB_REPLICA_HOST and "
                "MG_USERS_DB_REPLICA_PORT name it."
            )
            return None
        if self._away:
            self._away = False
            log.info("the read replica answers again")
        return found

    async def _read(self, read: Callable[[Connection], Awaitable[T | None]]) -> T | None:
        self._free -= 1
        connection = None
        try:
            while connection is None:
                connection, fresh = await self._connection()
                try:
                    found = await read(connection)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    # One that lay idle may have died since, and the others with it.
                    if fresh or not connection.closed:
                        raise
                    connection = None
                    await self._drop_idle()
            self._idle.append(connection)
            connection = None
            return found
        finally:
            self._free += 1
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    await connection.close()

    async def _connection(self) -> tuple[Connection, bool]:
        if self._idle:
            return self._idle.pop(), False
        connection = await Connection.connect(self._conninfo, autocommit=True)
        try:
            if (await _identity(connection)) != await self._expected():
                raise _NoStandby("MG_USERS_DB_REPLICA_HOST leads to another database than MG_USERS_DB_HOST")
            await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            await connection.settle(SETTLED)
        except BaseException:
            await connection.close()
            raise
        return connection, True

    async def _expected(self) -> int | None:
        if self._identity is None:
            async with await psycopg.AsyncConnection.connect(self._primary, autocommit=True) as primary:
                self._identity = await _identity(primary)
        return self._identity

    def _lost(self, why: str) -> None:
        if not self._away:
            self._away = True
            log.warning("the read replica is left alone, and the primary answers: %s", why)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def _drop_idle(self) -> None:
        while self._idle:
            with contextlib.suppress(psycopg.Error):
                await self._idle.pop().close()


async def _nothing(connection: Connection) -> None:
    await connection.execute("SELECT")


async def _identity(connection: psycopg.AsyncConnection) -> int | None:
    """What a primary and its standbys have in common; None where it may not be asked for."""
    try:
        row = await (await connection.execute(_IDENTITY)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return int(row[0]) if row else None
