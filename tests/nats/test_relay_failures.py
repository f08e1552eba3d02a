"""What becomes of order and completeness when relays and databases die at the worst moment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from infrastructure.nats.connection import close
from infrastructure.nats.publisher import Publisher
from infrastructure.nats.stream import STREAM
from tests.nats.broker import Broker
from tests.nats.service import FrozenReader, Service, stop
from tests.nats.test_relay import assert_stream_tells_the_log

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("step", "recorded"),
    [("sending", 256), ("answer", 256), ("record", 0), ("record", 256), ("rest", 256)],
)
async def test_a_relay_killed_between_any_two_steps_leaves_neither_gap_nor_duplicate(
    service: Service, broker: Broker, step: str, recorded: int
) -> None:
    await service.register(700)
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.nats.dying_relay",
        service.conninfo, service.nats_url, str(recorded), step,
        cwd=PROJECT,
    )  # fmt: skip
    assert await asyncio.wait_for(relay.wait(), 30) == -9
    row = await service.row()
    assert row["position"] <= recorded if step != "rest" else row["position"] > recorded
    assert await broker.last_sequence() > recorded if step in ("record", "rest") else True
    assert row["owner"] is not None
    # A killed relay keeps its lease until it runs out, which is not waited for here.
    await service.execute("UPDATE relays SET lease_until = now()")
    async with service.relaying():
        await service.register(10)
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_messages_published_but_not_recorded_are_found_even_after_the_window_of_duplicates(
    service: Service, broker: Broker
) -> None:
    await service.register(100)
    async with service.relaying():
        await service.relayed()
    # What a relay leaves that died before its first record; and a broker that remembers no message ids.
    await service.execute("UPDATE relays SET position = 0, last_sequence = 0")
    client = await broker.client()
    js = client.jetstream()
    config = (await js.stream_info(STREAM)).config
    await js.update_stream(config.evolve(duplicate_window=0.1))
    await asyncio.sleep(0.3)
    await service.register(5)
    async with service.relaying():
        await service.relayed()
    await close(client)
    await assert_stream_tells_the_log(service, broker)


async def test_a_relay_that_is_cancelled_at_any_moment_leaves_neither_gap_nor_duplicate(
    service: Service, broker: Broker
) -> None:
    await service.register(1500)
    for number in range(12):
        task = asyncio.create_task(service.relay().run())
        await asyncio.sleep(0.03 + number * 0.006)
        await stop(task)
    async with service.relaying():
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_of_two_relays_one_publishes_and_the_other_takes_over(service: Service, broker: Broker) -> None:
    async with service.relaying() as first:
        await service.register(100)
        before = await service.relayed()
        async with service.relaying():
            await service.register(300)
            during = await service.relayed()
            assert during["fencing"] == before["fencing"]
            await stop(first)
            await service.register(100)
            after = await service.relayed()
            assert after["fencing"] > before["fencing"]
    await assert_stream_tells_the_log(service, broker)


async def test_a_relay_that_wakes_up_after_another_took_over_publishes_nothing_twice(
    service: Service, broker: Broker
) -> None:
    await service.register(50)
    zombie = FrozenReader(service.log.reader)
    async with service.relaying(reader=zombie):
        await asyncio.wait_for(zombie.has_read.wait(), 10)
        fencing = (await service.row())["fencing"]
        async with service.relaying():
            await service.register(50)
            row = await service.relayed()
            assert row["fencing"] > fencing
            zombie.goes_on.set()
            await service.register(50)
            await service.relayed()
            assert (await service.row())["fencing"] == row["fencing"]
    await assert_stream_tells_the_log(service, broker)


async def test_messages_of_somebody_else_under_our_subjects_break_neither_order_nor_completeness(
    service: Service, broker: Broker
) -> None:
    client = await broker.client()
    async with service.relaying():
        for number in range(4):
            await service.register(100)
            await client.publish(f"users.somebody.else{number}", b"not one of ours")
            await client.flush()
            await service.register(100)
        await service.relayed()
    await close(client)
    positions = [m.position for m in await broker.messages() if b"ours" not in m.body]
    assert positions == list(range(1, 801))


async def test_messages_of_another_log_do_not_move_the_relay(
    service: Service, broker: Broker, template: tuple[str, str]
) -> None:
    async with service.relaying():
        await service.register(20)
        await service.relayed()
    # As after the restore of a backup: other events stand at the positions that the stream tells of.
    await service.execute("ALTER TABLE events DISABLE TRIGGER USER")
    await service.execute("TRUNCATE events, names, credentials, user_keys, relays")
    await service.execute("ALTER TABLE events ENABLE TRIGGER USER")
    async with service.relaying():
        await service.register(5)
        await service.relayed()
    assert [m.event["id"] for m in await broker.messages()][20:] == await service.event_ids()


async def test_where_messages_cannot_name_their_predecessor_a_displaced_one_is_made_good_once(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Publisher.start

    async def start_unlinked(publisher: Publisher, client: Client, *, linked: bool) -> None:
        await start(publisher, client, linked=not linked)

    # As on a replicated stream.
    monkeypatch.setattr(Publisher, "start", start_unlinked)
    client = await broker.client()
    async with service.relaying():
        writing = asyncio.create_task(service.register(1000))
        for number in range(6):
            await client.publish(f"users.somebody.else{number}", b"not one of ours")
            await asyncio.sleep(0.01)
        await writing
        await service.relayed()
    await close(client)
    ours = [m for m in await broker.messages() if b"not one" not in m.body]
    assert sorted(m.position for m in ours) == list(range(1, 1001))


async def test_an_event_that_overtook_a_displaced_one_is_not_published_again(
    service: Service, broker: Broker
) -> None:
    await service.register(10)
    async with service.relaying():
        await service.relayed()
    stored = await broker.messages()
    client = await broker.client()
    js = client.jetstream()
    # The fourth message is missing, as if somebody else's had taken its place, and nothing is recorded
    # beyond the second; the broker remembers no message ids.
    await js.delete_msg(STREAM, stored[3].sequence)
    config = (await js.stream_info(STREAM)).config
    await js.update_stream(config.evolve(duplicate_window=0.1))
    await asyncio.sleep(0.3)
    await close(client)
    await service.execute("UPDATE relays SET position = 2, last_sequence = 2")
    async with service.relaying():
        await service.relayed()
        await service.register(2)
        await service.relayed()
    assert [m.position for m in await broker.messages()] == [1, 2, 3, 5, 6, 7, 8, 9, 10, 4, 11, 12]
