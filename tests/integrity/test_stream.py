"""Where stream and log part is found by halving, whatever is missing between and whoever else wrote there."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from nats.js import JetStreamContext

from infrastructure.integrity.stream import Parting, foreign, overwrite, parting
from infrastructure.nats.connection import close
from infrastructure.nats.stream import ANY_SIZE, STREAM, ensure_stream
from interfaces.events.cloudevents import SOURCE
from tests.nats.broker import Broker
from tests.support.writer import Writer

USERS = 12


@pytest.fixture
async def js(tmp_path: Path) -> AsyncIterator[JetStreamContext]:
    broker = Broker(tmp_path)
    broker.start()
    client = await broker.client()
    made = client.jetstream()
    await ensure_stream(made, ANY_SIZE)
    yield made
    await close(client)
    broker.kill()


@pytest.fixture
async def writer(database: str) -> AsyncIterator[Writer]:
    async with Writer(database) as ready:
        await ready.register(USERS)
        yield ready


async def tell(js: JetStreamContext, position: int, event_id: UUID) -> int:
    body = {"id": str(event_id), "source": SOURCE, "position": str(position)}
    return (await js.publish(f"users.{uuid4()}.registered", msgspec.json.encode(body))).seq


def ids(connection: psycopg.Connection) -> list[UUID]:
    rows = connection.execute("SELECT state FROM events ORDER BY position").fetchall()
    return [UUID(msgspec.json.decode(state)["id"]) for (state,) in rows]


async def test_the_messages_of_lost_events_are_found_and_no_others(
    js: JetStreamContext, writer: Writer
) -> None:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        known = ids(connection)
        for seed in range(8):
            chance = random.Random(seed)
            agreed, lost = chance.randint(0, USERS), chance.randint(0, 7)
            ours = [await tell(js, position, known[position - 1]) for position in range(1, agreed + 1)]
            theirs = [await tell(js, agreed + number, uuid4()) for number in range(1, lost + 1)]
            await js.publish("users.somebody.else", b"not ours")
            for sequence in chance.sample(ours, len(ours) // 3):
                await js.delete_msg(STREAM, sequence)
                ours.remove(sequence)
            found = await parting(js, connection)
            assert (found.agrees.sequence if found.agrees else 0) == (ours[-1] if ours else 0), seed
            assert await foreign(js, connection, found) == theirs, seed
            assert bool(found.first_foreign) == bool(theirs), seed
            assert await overwrite(js, theirs) == len(theirs)
            again = await parting(js, connection)
            assert (again.first_foreign, again.last_sequence) == (0, found.last_sequence), seed
            await js.purge_stream(STREAM)


async def test_where_there_is_no_stream_nothing_parts(js: JetStreamContext, writer: Writer) -> None:
    await js.delete_stream(STREAM)
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        assert await parting(js, connection) == Parting(
            last_sequence=0, agrees=None, first_foreign=0, told_until=0
        )
