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
from uuid import UUID, uuid4

import nats.errors
import psycopg
from nats.js.errors import APIError

from infrastructure.event_store.log import EventReader
from infrastructure.nats.connection import BrokerUnreachable, close, connect
from infrastructure.nats.flow import PAGE, Flow
from infrastructure.nats.forget import forget
from infrastructure.nats.outgoing import Held, Limits
from infrastructure.nats.position import Fenced, Lease, acquire, enlist, note, release
from infrastructure.nats.publisher import BrokerLost, Publisher, Refused
from infrastructure.nats.resynchronise import resynchronise
from infrastructure.nats.stream import ensure_stream
from interfaces.events.published import Pii
from projections.readmodel import PageTrace

NAME = "users"
POLL = 0.25
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

STANDBY = 1.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
API_SECONDS = 4.0

log = logging.getLogger("usersd.relay")


class WakeUp(Protocol):
    async def wait(self, within: float) -> bool: ...


class Relay:
    """Publishes the log for as long as it holds the lease; any number of them may run."""

    def __init__(
        self,
        reader: EventReader,
        conninfo: str,
        nats_url: str,
        wake_up: WakeUp,
        *,
        pii: Pii = "full",
        replicas: int = 1,
        max_age: float | None = None,
        trace: PageTrace | None = None,
    ) -> None:
        self._trace = trace
        self._reader = reader
        self._conninfo = conninfo
        self._url = nats_url
        self._wake_up = wake_up
        self._pii: Pii = pii
        self._replicas = replicas
        self._max_age = max_age
        self._owner = str(uuid4())
        self._size = PAGE
        self._complaint = ""
        self._progress = False

    async def run(self) -> None:
        """Run until cancelled; through lost connections, lost leases and faults, with growing pauses."""
        pause = FIRST_PAUSE
        while True:
            _stop_if_cancelled()
            self._progress = False
            try:
                await self._session()
            except Fenced:
                log.info("another relay has taken over")
            except psycopg.OperationalError as error:
                self._complain(logging.WARNING, f"no database ({type(error).__name__}); trying again")
            except Held as held:
                self._complain(logging.ERROR, f"{held}; all later events wait behind it")
            except (BrokerUnreachable, BrokerLost, Refused, nats.errors.Error, OSError) as fault:
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
            log.log(level, "%s", words, exc_info=error)

    async def _session(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await enlist(connection, NAME)
            try:
                lease = await self._lease(connection)
                try:
                    await self._publish(connection, lease)
                except (psycopg.Error, Fenced):
                    raise
                except Exception as fault:
                    await note(connection, NAME, lease, _words(fault))
                    raise
            finally:
                with contextlib.suppress(psycopg.Error):
                    await release(connection, NAME, self._owner)

    async def _lease(self, connection: psycopg.AsyncConnection) -> Lease:
        while True:
            if lease := await acquire(connection, NAME, self._owner):
                return lease
            await asyncio.sleep(STANDBY)

    async def _publish(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        publisher = Publisher()
        client = await connect(self._url, name="usersd relay", on_lost=publisher.lost)
        size, self._size = self._size, PAGE
        try:
            js = client.jetstream(timeout=API_SECONDS)
            await ensure_stream(js, self._replicas, self._max_age)
            there = await resynchronise(connection, NAME, lease, js, self._reader)
            await publisher.start(client, linked=self._replicas == 1)
            limits = Limits(self._pii, client.max_payload, there)

            async def forget_user(user_id: UUID) -> None:
                await forget(connection, js, user_id, lambda: self._renew(connection, lease))

            flow = Flow(
                connection, NAME, lease, self._reader, publisher, limits, size, self._trace, forget_user
            )
            await self._follow(connection, lease, flow, publisher)
        except Refused:
            # The next session sends one message alone, whose answer tells the cause, and grows from there.
            self._size = 1
            raise
        finally:
            await close(client)

    async def _follow(
        self, connection: psycopg.AsyncConnection, lease: Lease, flow: Flow, publisher: Publisher
    ) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            _stop_if_cancelled()
            if await flow.step():
                self._progress = self._progress or flow.moved
                renewed = loop.time()
                continue
            await self._wake_up.wait(POLL)
            if publisher.is_lost:
                raise BrokerLost("the connection was lost")
            if loop.time() - renewed > STANDBY:
                await self._renew(connection, lease)
                renewed = loop.time()

    async def _renew(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        renewed = await acquire(connection, NAME, self._owner)
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
