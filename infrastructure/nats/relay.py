"""The loop that publishes the log to JetStream: at least once, in order, nothing left out.

The log is the outbox. A session is one lease, one connection to the log and one to the broker. Whatever
goes wrong ends the session, and the next one finds out from the stream where to go on; no request of the
service waits for any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol
from uuid import uuid4

import nats.errors
import psycopg
from nats.js.errors import APIError

from application.cancelling import heed_cancellation
from infrastructure.event_store.log import EventReader
from infrastructure.nats.clearing import clear
from infrastructure.nats.connection import OPEN, BrokerUnreachable, close, connect
from infrastructure.nats.credentials import Access
from infrastructure.nats.flow import PAGE
from infrastructure.nats.form import Form, Session, Steps
from infrastructure.nats.outgoing import Held
from infrastructure.nats.position import LEASE_SECONDS, Fenced, Lease, acquire, enlist, note, release
from infrastructure.nats.publisher import BrokerLost, Publisher, Refused
from infrastructure.postgres.complaints import cause
from projections.readmodel import PageTrace

POLL = 1.0
"""Seconds after which the log is asked for even if nothing was notified: covers a lost wake-up."""

STANDBY = 1.0
RENEWED = 1.5
"""Seconds after which an idle owner renews the lease."""

CLEARING = 60.0
"""Seconds between two looks for users who could not be cleared out of the stream when they were forgotten."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0

log = logging.getLogger("usersd.relay")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class Relay:
    """Publishes the log in one form for as long as it holds the lease; any number of them may run."""

    def __init__(
        self,
        reader: EventReader,
        conninfo: str,
        nats_url: str,
        wake_up: WakeUp,
        form: Form,
        *,
        access: Access = OPEN,
        trace: PageTrace | None = None,
    ) -> None:
        self._form = form
        self._access = access
        self._trace = trace
        self._reader = reader
        self._conninfo = conninfo
        self._url = nats_url
        self._wake_up = wake_up
        self._owner = str(uuid4())
        self._size = PAGE
        self.connected: bool | None = None
        """Whether it has a connection to the broker; None while it is not its turn to publish."""
        self._complaint = ""
        self._progress = False

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = FIRST_PAUSE
        while True:
            heed_cancellation()
            _stop_if_cancelled()
            self._progress = False
            try:
                await self._session()
            except Fenced:
                log.info("relay %s: another one has taken over", self._form.name)
            except psycopg.OperationalError as error:
                self._complain(logging.WARNING, f"no database ({cause(error)}); trying again")
            except Held as held:
                self._complain(logging.ERROR, f"{held}; all later events wait behind it")
            except (BrokerUnreachable, BrokerLost, Refused, nats.errors.Error, OSError) as fault:
                self.connected = isinstance(fault, Refused)
                self._complain(logging.WARNING, f"not publishing: {_words(fault)}; trying again")
            except Exception as error:
                self._complain(logging.ERROR, f"failed: {type(error).__name__}; trying again", error)
            if self._progress:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _complain(self, level: int, words: str, error: Exception | None = None) -> None:
        # Once per trouble, not once per try.
        if self._progress or words != self._complaint:
            self._complaint = words
            log.log(level, "relay %s: %s", self._form.name, words, exc_info=error)

    async def _session(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            # A process that freezes in the middle of a transaction must not keep the lease's row locked.
            await connection.execute(f"SET idle_in_transaction_session_timeout = '{LEASE_SECONDS}s'")
            await enlist(connection, self._form.name)
            try:
                lease = await self._lease(connection)
                try:
                    await self._publish(connection, lease)
                except (psycopg.Error, Fenced):
                    raise
                except Exception as fault:
                    await note(connection, self._form.name, lease, _words(fault))
                    raise
            finally:
                with contextlib.suppress(psycopg.Error):
                    await release(connection, self._form.name, self._owner)

    async def _lease(self, connection: psycopg.AsyncConnection) -> Lease:
        while True:
            heed_cancellation()
            if lease := await acquire(connection, self._form.name, self._owner):
                return lease
            self.connected = None
            await asyncio.sleep(STANDBY)

    async def _publish(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        publisher = Publisher()
        client = await connect(
            self._url,
            name=f"usersd relay {self._form.name}",
            access=self._access,
            on_lost=publisher.lost,
        )
        self.connected = True
        size, self._size = self._size, PAGE
        try:
            session = Session(
                connection, self._reader, lease, lambda: self._renew(connection, lease), client, publisher,
                first_page=size, trace=self._trace,
            )  # fmt: skip
            steps = await self._form.begin(session)
            await self._follow(session, steps)
        except Refused:
            # The next session sends one message alone, whose answer tells the cause, and grows from there.
            self._size = 1
            raise
        finally:
            await close(client)

    async def _follow(self, session: Session, steps: Steps) -> None:
        loop = asyncio.get_running_loop()
        renewed, cleared = loop.time(), -CLEARING
        while True:
            heed_cancellation()
            _stop_if_cancelled()
            if loop.time() - cleared > CLEARING:
                await clear(session, self._form, session.lease.position)
                cleared = loop.time()
            if await steps.step():
                self._progress = self._progress or steps.moved
                renewed = loop.time()
                continue
            await self._wake_up.wait(POLL)
            if session.publisher.is_lost:
                raise BrokerLost("the connection was lost")
            if loop.time() - renewed > RENEWED:
                await session.renew()
                renewed = loop.time()

    async def _renew(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        renewed = await acquire(connection, self._form.name, self._owner)
        if renewed is None or renewed.fencing != lease.fencing:
            raise Fenced


def _stop_if_cancelled() -> None:
    # `asyncio.wait_for` of Python 3.11, which the client uses, drops a cancellation that comes together
    # with what it waits for.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _words(fault: Exception) -> str:
    """What a fault is called. Only our own and the broker's words are shown: others may hold a value."""
    if isinstance(fault, (Held, BrokerUnreachable, BrokerLost, Refused)):
        return str(fault)
    if isinstance(fault, APIError):
        return f"{type(fault).__name__}: {fault.description} ({fault.err_code})"
    return type(fault).__name__
