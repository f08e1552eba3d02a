"""From the commit of a change to its arrival at a consumer, at two hundred changes a second."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from bench.ground import Ground, Log, event_log, registration
from bench.measuring import Row, say
from infrastructure.nats.connection import close, connect
from infrastructure.nats.own_stream import OwnStream
from infrastructure.nats.relay import Relay
from infrastructure.nats.stream import STREAM
from infrastructure.postgres.notifications import EVENTS, Notifications
from tests.support.waiting import eventually

PER_SECOND = 200
CHANGES = 4000
AIM_MS = 50.0


async def measure(ground: Ground) -> list[Row]:
    """One row: writer, relay and consumer in one process, the servers beside it."""
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo, ground.nats_url) as log, Notifications(conninfo, EVENTS) as heard:
            relay = Relay(log.keys.reader, conninfo, ground.nats_url, heard.signals[EVENTS], OwnStream())
            task = asyncio.create_task(relay.run())
            try:
                times = await _times(log, ground.nats_url)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    say(f"  commit to consumer: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return [
        Row(
            work=f"commit to consumer at {PER_SECOND} changes a second, p99",
            against="p50 beside it",
            ours=p99,
            limit=p50,
            share=p99,
            aim=AIM_MS,
            unit="ms",
            rounds=CHANGES,
        )
    ]


async def _times(log: Log, nats_url: str) -> list[float]:
    """Milliseconds of each change, sorted."""
    committed: dict[UUID, float] = {}
    arrived: dict[UUID, float] = {}
    done = asyncio.Event()

    async def took(message: Msg) -> None:
        arrived[UUID(message.subject.split(".")[1])] = time.perf_counter()
        if len(arrived) == CHANGES + 1:
            done.set()

    async def write(number: int) -> None:
        change = registration(number)
        await log.log.append(change)
        committed[change.after.id] = time.perf_counter()

    client = await connect(nats_url, name="bench consumer")
    try:
        js = client.jetstream()
        await write(CHANGES)
        # The stream is there when the first message is.
        await eventually(lambda: _is_there(js), within=30)
        await js.subscribe("users.>", stream=STREAM, ordered_consumer=True, cb=took)
        started = time.perf_counter()
        writing = []
        for number in range(CHANGES):
            await asyncio.sleep(max(0.0, started + number / PER_SECOND - time.perf_counter()))
            writing.append(asyncio.create_task(write(number)))
        await asyncio.gather(*writing)
        async with asyncio.timeout(60):
            await done.wait()
        await js.delete_stream(STREAM)
    finally:
        await close(client)
    del committed[next(iter(committed))]
    return sorted((arrived[user] - at) * 1000 for user, at in committed.items())


async def _is_there(js: JetStreamContext) -> bool:
    try:
        return bool((await js.stream_info(STREAM)).state.last_seq)
    except NotFoundError:
        return False
