"""The loop that keeps a generation up to date: page, fold, write, move the position, in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

import psycopg

from application.cancelling import heed_cancellation
from application.outages import Outage, first_line
from projections.lease import (
    LEASE_SECONDS,
    Fenced,
    Lease,
    acquire,
    advance,
    advance_with,
    is_fenced,
    release,
)
from projections.page import REFUSED, Aside, Folded, Poison, fold_page, park, parked, write_page
from projections.readmodel import LogPages, PageTrace, ReadModel, table_name

PAGE = 1000
POLL = 1.0
"""Seconds after which the log is asked for even if nothing was notified: covers a lost wake-up."""

STANDBY = 0.5
"""Seconds after which a stand-by asks for the lease again."""

RENEWED = 1.0
"""Seconds after which an idle owner renews it. Every reader of the log does so, and an idle service does
nothing else: it is what idling costs."""

AGAIN = 0.25
AWAY = 1.0
"""Seconds, at least and at most, until a database that was away is tried again."""

FAULTY = 5.0
"""Seconds, at most, until a page is tried again that could not be applied for a fault of ours."""

_GONE = ("08", "57P")
"""How the states of SQL begin that say that the connection or the server went away, not why a page failed."""

_FROZEN = f"SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'"
"""Who stands still in the middle of a transaction holds the row that a stand-by must have to take over."""

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
        self._aside = Aside()
        self._outage = Outage(
            log, f"{model.name}: generation {generation} stands still, for want of a database"
        )
        self._well = False
        self._tried = 0
        self._halvings = 0

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = AGAIN
        while True:
            heed_cancellation()
            self._well, longest = False, AWAY
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute(_FROZEN)
                    try:
                        await self._project(connection)
                    except asyncio.CancelledError:
                        with contextlib.suppress(psycopg.Error):
                            await release(connection, self._model, self._generation, self._owner)
                        raise
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._outage.goes_on(first_line(error))
                if error.sqlstate and not error.sqlstate.startswith(_GONE):
                    await self._record(error)
            except psycopg.errors.UndefinedTable:
                log.info("%s: generation %d is gone", self._model.name, self._generation)
            except psycopg.errors.IdleInTransactionSessionTimeout:
                log.warning("%s: stood still in the middle of a page; trying again", self._model.name)
            except Exception as error:
                log.exception("%s: the projection failed; trying again", self._model.name)
                longest = FAULTY
                await self._record(error)
                # Smaller and smaller pages lead to the very event that it is the fault of.
                self._halvings = min(self._halvings + 1, PAGE.bit_length())
            if self._well:
                pause = AGAIN
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _project(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            heed_cancellation()
            lease = await self._acquire(connection)
            if lease is None:
                self._outage.is_over()
                await asyncio.sleep(STANDBY)
                continue
            self._aside = await parked(connection, self._model, self._generation)
            with contextlib.suppress(Fenced):
                await self._follow(connection, lease)

    async def _follow(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            heed_cancellation()
            applied = await self._step(connection, lease)
            self._outage.is_over()
            if applied:
                renewed = loop.time()
                continue
            await self._wake_up.wait(min(POLL, RENEWED))
            if loop.time() - renewed >= RENEWED:
                if await self._acquire(connection) != lease:
                    # Somebody else has it, it is paused, or its rows were put right by somebody.
                    return
                renewed = loop.time()

    async def _acquire(self, connection: psycopg.AsyncConnection) -> Lease | None:
        return await acquire(connection, self._model, self._generation, self._owner)

    async def _step(self, connection: psycopg.AsyncConnection, lease: Lease) -> int:
        """Apply one page; answers how many events it held. Raises Fenced."""
        self._tried = lease.position + 1
        page = await self._pages.read(connection, lease.position, max(1, PAGE >> self._halvings))
        self._well = True
        if not page:
            return 0
        ended = self._trace(f"project {self._model.name}", page) if self._trace else None
        table = table_name(self._model, lease.generation)
        # Read outside the transaction: nobody else can write these rows without moving the position.
        folded = await fold_page(connection, self._model, table, page, self._aside)
        try:
            poison = await self._write(connection, lease, table, folded, page[-1].position)
        except psycopg.Error as error:
            if is_fenced(error):
                raise Fenced from None
            raise
        if ended:
            ended()
        lease.position = page[-1].position
        self._halvings = max(self._halvings - 1, 0)
        self._aside.park(poison)
        return len(page)

    async def _write(
        self, connection: psycopg.AsyncConnection, lease: Lease, table: str, folded: Folded, reached: int
    ) -> list[Poison]:
        if not folded.poison:
            changes = list(folded.changed.values())
            with contextlib.suppress(*REFUSED):
                if written := self._model.statement(table, changes):
                    await advance_with(connection, self._model, lease, reached, written)
                    return []
                # Not in a pipeline: the database does not notice there that its client stands still.
                async with connection.transaction():
                    await advance(connection, self._model, lease, reached)
                    await self._model.write(connection, table, changes)
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
                    "UPDATE projections SET last_error = %s, last_error_position = %s"
                    " WHERE name = %s AND version = %s AND generation = %s",
                    (
                        type(error).__name__,
                        self._tried,
                        self._model.name,
                        self._model.version,
                        self._generation,
                    ),
                )
