"""A whole service for tests of erasing: real PostgreSQL and NATS, and a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from application.commands.erase_user import EraseUser
from application.messages import Context
from domain.access import OPERATOR
from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.bootstrap import Service, open_service
from infrastructure.event_store.log import EventReader
from infrastructure.event_store.mapper import EventMapper
from infrastructure.first_admin import make_first_admin
from infrastructure.serving import application
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.nats.broker import Broker
from tests.support.databases import standing
from tests.support.service import Client
from tests.support.waiting import eventually

MONTH = timedelta(hours=720)


class MovedClock:
    """The time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class World:
    """What a test needs of one replica."""

    def __init__(
        self, client: Client, clock: MovedClock, conninfo: str, broker: Broker, ledger: Path
    ) -> None:
        self.client = client
        self.clock = clock
        self.conninfo = conninfo
        self.broker = broker
        self.ledger = ledger

    @property
    def reader(self) -> EventReader:
        return EventReader(EventMapper(), self.service.erasure.epochs.keyring)

    @property
    def service(self) -> Service:
        return self.client.service

    async def registered(self, **changes: Any) -> UUID:
        """Somebody new, with a change after the registration."""
        user = await self.client.register(**changes)
        owner = await self.client.as_user(user["email"])
        answer = await self.client.http.patch(f"/users/{user['id']}", json={"first_name": "N"}, headers=owner)
        assert answer.status_code == 200
        return UUID(user["id"])

    async def erase(self, user_id: UUID) -> None:
        """Ask for the erasure, as an operator does."""
        command_id = uuid4()
        context = Context(
            actor=OPERATOR, at=self.clock.now(), command_id=command_id, correlation_id=command_id
        )
        command = EraseUser(user_id=user_id, reason="ticket-7")
        await self.service.bus.dispatch(command, context, wait=False)

    async def certified(self, user_id: UUID) -> str:
        """The certificate, once it is there."""

        async def there() -> bool:
            await self.service.erasure.erasing.step()
            return self.one("SELECT certificate FROM erasures WHERE user_id = %s", user_id) is not None

        await eventually(there, within=20)
        return str(self.one("SELECT certificate FROM erasures WHERE user_id = %s", user_id))

    async def relayed(self) -> None:
        """Until the relay has come to the end of the log."""

        async def there() -> bool:
            query = "SELECT min(position) = (SELECT max(position) FROM events) FROM relays"
            return self.one(query) is True

        await eventually(there, within=20)

    def one(self, query: str, *values: object) -> Any:
        """The first column of a query's first row."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def execute(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    async def subjects(self, user_id: UUID) -> list[str]:
        """The bare names of the user's messages in the stream."""
        found = [message.subject for message in await self.broker.messages()]
        return [subject.rpartition(".")[2] for subject in found if str(user_id) in subject]


@asynccontextmanager
async def running_world(
    conninfo: str,
    broker: Broker,
    ledger: Path,
    *,
    read: bool = True,
    **environ: str,
) -> AsyncIterator[World]:
    """A replica, with its readers or without; sweeps and erasures happen when a test calls for them."""
    environ = {"MG_USERS_BCRYPT_COST": "4", "MG_USERS_ERASURE_LEDGER": str(ledger)} | environ
    settings = load(environ).settings
    ground = standing(conninfo, broker.url)
    keys = await asyncio.to_thread(open_keys, ground)
    clock = MovedClock()
    async with open_service(settings, ground, keys, hasher=BcryptHasher(4), clock=clock) as service:
        await make_first_admin(service.bus, settings)
        work = [projector.run() for projector in service.projectors] if read else []
        work += [relay.run() for relay in service.relays] if read else []
        tasks = [asyncio.create_task(reader) for reader in work]
        transport = httpx.ASGITransport(application(service, settings), raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://usersd") as http:
                yield World(Client(service, http), clock, conninfo, broker, ledger)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
