"""The relay's pace against the limit of its client: the same bytes, published without fence or log.

The limit is `asyncio.gather` of 64 `js.publish`, the quickest way that the client's own API offers and
that does not hang when the broker goes away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psycopg
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig

from application.ports import Recorded
from bench.ground import Ground, Log, event_log, seed
from bench.measuring import Row, in_turns
from infrastructure.nats.connection import close, connect
from infrastructure.nats.own_stream import OwnStream
from infrastructure.nats.relay import Relay
from infrastructure.postgres.notifications import Signal
from interfaces.events.published import tell
from interfaces.events.telling import Telling

GATHERED = 64
EVENTS = 20_000


async def measure(ground: Ground) -> list[Row]:
    """One row: the relay reads, opens and renders the log; the limit has its bytes ready."""
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo, ground.nats_url) as log:
            await seed(log.log, EVENTS)
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as reading:
                page = await log.keys.reader.read(reading, 0, EVENTS)
            messages = [tell(event) for event in page if isinstance(event, Recorded)]
            client = await connect(ground.nats_url, name="bench")
            try:
                return [
                    await in_turns(
                        f"relay to JetStream, {EVENTS:,} events",
                        f"gather of {GATHERED} js.publish of the same bytes",
                        lambda: _relayed(log, client),
                        lambda: gathered(client, messages),
                        aim=0.6,
                    )
                ]
            finally:
                await close(client)


async def gathered(client: Client, messages: Sequence[Telling]) -> float:
    js = client.jetstream(timeout=30)
    await js.add_stream(StreamConfig(name="BENCH", subjects=["bench.>"], storage=StorageType.FILE))
    started = time.perf_counter()
    for start in range(0, len(messages), GATHERED):
        await asyncio.gather(
            *(
                js.publish(
                    f"bench.{message.subject}", message.body, headers={"Nats-Msg-Id": message.message_id}
                )
                for message in messages[start : start + GATHERED]
            )
        )
    rate = len(messages) / (time.perf_counter() - started)
    await js.delete_stream("BENCH")
    return rate


async def _relayed(log: Log, client: Client) -> float:
    """From the start of a relay until its record says that all is published."""
    conninfo = log.standing.conninfo
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("DELETE FROM relays")
        relay = Relay(log.keys.reader, conninfo, log.standing.nats_url, Signal(), OwnStream())
        started = time.perf_counter()
        task = asyncio.create_task(relay.run())
        try:
            row = None
            while row is None or row[0] < EVENTS:
                await asyncio.sleep(0.005)
                row = await (await connection.execute("SELECT position FROM relays")).fetchone()
            return EVENTS / (time.perf_counter() - started)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.jetstream().delete_stream("USERS")
