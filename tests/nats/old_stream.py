"""The stream of the platform as a test looks at it, and what the service remembers of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
from nats.js import JetStreamContext

from infrastructure.nats.connection import close
from infrastructure.nats.shared_stream import SharedStream
from interfaces.events.magistrala import MAGISTRALA
from tests.nats.broker import Broker
from tests.nats.old_consumer import decode
from tests.nats.service import Service

SUBJECTS = {"magistrala": "events.magistrala.user.>", "mainflux": "events.mainflux.users"}


def magistrala() -> SharedStream:
    return SharedStream(MAGISTRALA)


async def told(broker: Broker, form: str = "magistrala") -> list[dict[str, Any]]:
    return [decode(form, message.body) for message in await broker.under(SUBJECTS[form])]


async def operations(broker: Broker) -> list[str]:
    return [f"{payload['operation']} {payload.get('id', '')}".strip() for payload in await told(broker)]


@contextlib.asynccontextmanager
async def jetstream(broker: Broker) -> AsyncIterator[JetStreamContext]:
    client = await broker.client()
    try:
        yield client.jetstream()
    finally:
        await close(client)


async def count_rows(service: Service) -> int:
    async with await psycopg.AsyncConnection.connect(service.conninfo, autocommit=True) as connection:
        row = await (await connection.execute("SELECT count(*) FROM relay_messages")).fetchone()
        assert row is not None
        return int(row[0])


async def is_cleared(service: Service, user: UUID) -> bool:
    async with await psycopg.AsyncConnection.connect(service.conninfo, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT cleared_at IS NOT NULL FROM erasures WHERE user_id = %s", (user,)
        )
        return await cursor.fetchone() == (True,)
