"""The loop that keeps a generation up to date: page, fold, write, move the position, in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol
from uuid import UUID

import psycopg

from projections.lease import Fenced, Lease, acquire, advance, is_fenced, release
from projections.page import REFUSED, Folded, Poison, fold_page, park, parked, write_page
from projections.readmodel import LogPages, PageTrace, ReadModel, table_name

PAGE = 1000
POLL = 0.25
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

STANDBY = 0.5
"""Seconds after which a stand-by asks for the lease again."""

RENEWED = 1.0
"""Seconds after which an idle owner renews it."""

AWAY = 1.0
"""Seconds, at most, until a database that was away is tried again."""

FAULTY = 5.0
"""Seconds, at most, until a page is tried again that could not be applied for a fault of ours."""

log = logging.getLogger("usersd.projections")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class Follower:
    """Projects the log into one generation for as long as it holds the lease."""

    def __init__(
        self,
        model: ReadModel,
        generation: int,
        owner: str,
        pages: LogPages,
        conninfo: str,
        wake_up: WakeUp,
        trace: PageTrace | None = None,
    ) -> None:
        self._model = model
        self._generation = generation
        self._owner = owner
        self._pages = pages
        self._conninfo = conninfo
        self._wake_up = wake_up
        self._trace = trace
        self._waiting: set[UUID] = set()
        self._well = False

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = POLL
        while True:
            self._well, longest = False, AWAY
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    try:
                        await self._project(connection)
                    except asyncio.CancelledError:
                        with contextlib.suppress(psycopg.Error):
                            await release(connection, self._model, self._generation, self._owner)
                        raise
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("%s: no database (%s); trying again", self._model.name, type(error).__name__)
            except psycopg.errors.UndefinedTable:
                log.info("%s: generation %d is gone", self._model.name, self._generation)
            except Exception as error:
                log.exception("%s: the projection failed; trying again", self._model.name)
                longest = FAULTY
                await self._record(error)
            if self._well:
                pause = POLL
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _project(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            lease = await self._acquire(connection)
            if lease is None:
                await asyncio.sleep(STANDBY)
                continue
            self._waiting = await parked(connection, self._model, self._generation)
            with contextlib.suppress(Fenced):
                await self._follow(connection, lease)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            if await self._step(connection, lease):
                renewed = loop.time()
                continue
            await self._wake_up.wait(POLL)
            if loop.time() - renewed > RENEWED:
                if await self._acquire(connection) != lease:
                    # Somebody else has it, it is paused, or its rows were put right by somebody.
                    return
                renewed = loop.time()

    async def _acquire(self, connection: psycopg.AsyncConnection) -> Lease | None:
        return await acquire(connection, self._model, self._generation, self._owner)

    async def _step(self, connection: psycopg.AsyncConnection, lease: Lease) -> int:
        """Apply one page; answers how many events it held. Raises Fenced."""
        page = await self._pages.read(connection, lease.position, PAGE)
        self._well = True
        if not page:
            return 0
        ended = self._trace(f"project {self._model.name}", page) if self._trace else None
        table = table_name(self._model, lease.generation)
        # Read outside the transaction: nobody else can write these rows without moving the position.
        folded = await fold_page(connection, self._model, table, page, self._waiting)
        try:
            poison = await self._write(connection, lease, table, folded, page[-1].position)
        except psycopg.Error as error:
            if is_fenced(error):
                raise Fenced from None
            raise
        if ended:
            ended()
        lease.position = page[-1].position
        self._waiting.update(found.user_id for found in poison)
        return len(page)

    async def _write(
        self, connection: psycopg.AsyncConnection, lease: Lease, table: str, folded: Folded, reached: int
    ) -> list[Poison]:
        if not folded.poison:
            with contextlib.suppress(*REFUSED):
                # The usual case in one round trip; what it cannot write is looked into below.
                async with connection.pipeline(), connection.transaction():
                    await advance(connection, self._model, lease, reached)
                    await self._model.write(connection, table, list(folded.changed.values()))
                return []
        async with connection.transaction():
            await advance(connection, self._model, lease, reached)
            poison = await write_page(connection, self._model, table, folded)
            await park(connection, self._model, lease.generation, poison)
        return poison

    async def _record(self, error: Exception) -> None:
        with contextlib.suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                await connection.execute(
                    "UPDATE projections SET last_error = %s"
                    " WHERE name = %s AND version = %s AND generation = %s",
                    (type(error).__name__, self._model.name, self._model.version, self._generation),
                )
