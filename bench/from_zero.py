"""A whole log published from its beginning, as after the loss of a stream: how fast, in how much memory."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg
from nats.aio.client import Client

from application.ports import Recorded
from bench.crowd_log import crowd_log
from bench.ground import Ground, Log, event_log
from bench.measuring import Row, say
from bench.relay import gathered
from infrastructure.nats.connection import close, connect
from infrastructure.nats.own_stream import OwnStream
from infrastructure.nats.relay import Relay
from infrastructure.nats.stream import STREAM
from infrastructure.postgres.notifications import Signal
from interfaces.events.published import tell

SAMPLE = 20_000
GROWTH = 30.0
"""MB by which the process may grow between the first tenth of the log and its end."""


async def measure(ground: Ground) -> list[Row]:
    """One row: three events a user, a million of them with `--users 334000`."""
    conninfo = await crowd_log(ground)
    async with event_log(conninfo, ground.nats_url) as log:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as reading:
            page = await log.keys.reader.read(reading, 0, SAMPLE)
        sample = [tell(event) for event in page if isinstance(event, Recorded)]
        client = await connect(ground.nats_url, name="bench")
        try:
            before = await gathered(client, sample)
            del page, sample[: SAMPLE // 2]
            events, rate, growth = await _published(log, client)
            limit = (before + await gathered(client, sample)) / 2
        finally:
            await close(client)
    say(f"  {events:,} events at {rate:,.0f}/s; {growth:.1f} MB more at the end than after a tenth of them")
    assert growth < GROWTH, f"the relay grew by {growth:.0f} MB"
    return [
        Row(
            work=f"relay to JetStream from zero, {events:,} events",
            against="gather of 64 js.publish, before and after",
            ours=rate,
            limit=limit,
            share=rate / limit,
            aim=0.6,
        )
    ]


async def _published(log: Log, client: Client) -> tuple[int, float, float]:
    """How many events, how many a second, and by how many MB this process has grown meanwhile."""
    conninfo = log.standing.conninfo
    head = await log.log.head()
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("DELETE FROM relays")
        relay = Relay(log.keys.reader, conninfo, log.standing.nats_url, Signal(), OwnStream())
        started, early = time.perf_counter(), 0.0
        task = asyncio.create_task(relay.run())
        try:
            reached = 0
            while reached < head:
                await asyncio.sleep(0.01)
                row = await (await connection.execute("SELECT position FROM relays")).fetchone()
                reached = row[0] if row else 0
                if not early and reached >= head / 10:
                    early = _resident()
            return head, head / (time.perf_counter() - started), _resident() - early
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.jetstream().delete_stream(STREAM)


def _resident() -> float:
    """MB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
