"""A users service cut down to its log: tests append to it and run relays over it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from application.messages import Context
from application.ports import Change, Recorded, Unreadable
from domain import events
from domain.access import SYSTEM
from domain.events import Event
from domain.user import evolve
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.keyring import open_keyring
from infrastructure.event_store.log import EventReader, PostgresEventLog, stream_reads
from infrastructure.event_store.mapper import EventMapper
from infrastructure.nats.form import Form
from infrastructure.nats.own_stream import OwnStream
from infrastructure.nats.relay import Relay
from infrastructure.postgres.notifications import Signal

ROOT = bytes(range(32))
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def until(condition: Callable[[], Awaitable[Any]], what: str, within: float = 30.0) -> Any:
    """Wait for a condition and answer with what it answered."""
    deadline = time.monotonic() + within
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not within {within:.0f} seconds: {what}"
        await asyncio.sleep(0.02)
    return found


class Service:
    def __init__(self, conninfo: str, nats_url: str) -> None:
        self.conninfo = conninfo
        self.nats_url = nats_url
        self.signal = Signal()
        self._numbers = itertools.count(1)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Service:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            keyring = open_keyring(connection, ROOT)
        self.mapper = mapper = EventMapper()
        appender = await self._stack.enter_async_context(Appender(self.conninfo))
        streams = stream_reads(self.conninfo)
        self._stack.push_async_callback(streams.close)
        self.log = PostgresEventLog(streams, appender, mapper, keyring, self.conninfo)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def append(self, user_id: UUID, *new: Event, secret_hash: str | None = None) -> int:
        """Append one command's events and wake the relays."""
        before = await self.log.load(user_id)
        after = before.user
        for event in new:
            after = evolve(after, event)
        context = Context(actor=SYSTEM, at=AT, command_id=uuid4(), correlation_id=uuid4())
        position = await self.log.append(
            Change(before=before, after=after, events=new, context=context, secret_hash=secret_hash)
        )
        self.signal.fire(str(position))
        return position

    async def execute(self, statement: LiteralString, *parameters: object) -> None:
        async with await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True) as connection:
            await connection.execute(statement, parameters)

    async def register(self, count: int = 1) -> list[UUID]:
        """New users, appended at once."""
        users = [uuid4() for _ in range(count)]
        await asyncio.gather(*(self.append(user, registered(next(self._numbers))) for user in users))
        return users

    async def rename(self, user_id: UUID, times: int) -> None:
        """So many events of one user, one after the other."""
        for number in range(times):
            await self.append(user_id, events.ProfileUpdated(at=AT, first_name=f"name {number}"))

    def relay(self, *, reader: EventReader | None = None, form: Form | None = None, **options: Any) -> Relay:
        """A relay of a form, or of our own with some options."""
        form = form or OwnStream(**options)
        return Relay(reader or self.log.reader, self.conninfo, self.nats_url, self.signal, form)

    @contextlib.asynccontextmanager
    async def relaying(self, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.relay(**options).run())
        try:
            yield task
        finally:
            await stop(task)

    async def row(self, relay: str = "users") -> dict[str, Any]:
        """A relay's row; empty before the first run."""
        async with await psycopg.AsyncConnection.connect(self.conninfo, row_factory=dict_row) as connection:
            cursor = await connection.execute(
                "SELECT position, last_sequence, owner, fencing, last_error FROM relays WHERE name = %s",
                (relay,),
            )
            return await cursor.fetchone() or {}

    async def relayed(
        self, position: int | None = None, within: float = 30.0, relay: str = "users"
    ) -> dict[str, Any]:
        """Wait until a relay has recorded a position, that of the log's end unless named."""
        goal = await self.log.head() if position is None else position

        async def there() -> dict[str, Any] | None:
            row = await self.row(relay)
            return row if row and row["position"] >= goal else None

        found: dict[str, Any] = await until(there, f"the relay at position {goal}", within)
        return found

    async def event_ids(self) -> list[str]:
        """The ids of all events of the log, in order."""
        async with await psycopg.AsyncConnection.connect(self.conninfo) as connection:
            page = await self.log.reader.read(connection, 0, 10**6)
            return [str(getattr(event, "event_id", None)) for event in page]


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel once: a relay that overhears it would keep a whole service from stopping."""
    task.cancel()
    await asyncio.wait({task}, timeout=4)
    assert task.cancelled()


def registered(number: int, **more: Any) -> events.Registered:
    fields = {"email": f"user{number}@example.com", "username": f"user{number}", "first_name": "Ada"}
    return events.Registered(at=AT, **(fields | more))


class FrozenReader(EventReader):
    """Reads a page and then hangs, as a process does that the system has stopped."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self.has_read = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def read(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = 2**62
    ) -> list[Recorded | Unreadable]:
        page = await self._reader.read(connection, after, limit, until)
        if page:
            self.has_read.set()
            await self.goes_on.wait()
        return page
