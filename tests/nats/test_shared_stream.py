"""What is promised to consumers of the old forms, in a stream that the platform owns and others write to."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest
from nats.js.api import StreamConfig

from domain import events
from infrastructure.nats import one_by_one
from infrastructure.nats.position import Lease, advance
from infrastructure.nats.shared_stream import STREAM, SharedStream
from interfaces.events.mainflux import MAINFLUX
from tests.nats.broker import Broker
from tests.nats.old_consumer import decode
from tests.nats.old_stream import count_rows, jetstream, magistrala, operations, told
from tests.nats.service import AT, FrozenReader, Service, until


async def test_all_forms_at_once_tell_everything_in_the_order_of_the_log(
    service: Service, broker: Broker
) -> None:
    users = await service.register(40)
    async with (
        service.relaying(),
        service.relaying(form=magistrala()),
        service.relaying(form=SharedStream(MAINFLUX)),
    ):
        await asyncio.gather(*(service.rename(user, 2) for user in users))
        for user in users[:5]:
            await service.append(user, events.Disabled(at=AT))
        for relay in ("users", "magistrala", "mainflux"):
            assert (await service.relayed(relay=relay))["last_error"] is None
    ours = await broker.messages()
    names = {"registered": "create", "profile_updated": "update", "disabled": "disable"}
    in_order = [
        f"user.{names[message.subject.rpartition('.')[2]]} {message.event['subject']}" for message in ours
    ]
    assert await operations(broker) == in_order
    mainflux = await told(broker, "mainflux")
    assert [payload["id"] for payload in mainflux] == [message.event["subject"] for message in ours]
    assert [payload["operation"] for payload in mainflux[-5:]] == ["user.remove"] * 5


async def test_a_missing_stream_is_made_like_the_original_and_another_ones_is_never_altered(
    service: Service, broker: Broker
) -> None:
    await service.register()
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    async with jetstream(broker) as js:
        made = (await js.stream_info(STREAM)).config
        assert (made.subjects, made.max_age, made.max_msg_size) == (["events.>"], 86400, 1024 * 1024)
        assert made.max_msgs_per_subject == 10**9
        await js.delete_stream(STREAM)
        await js.add_stream(StreamConfig(name=STREAM, subjects=["events.>"], max_age=3600, max_msgs=5000))
        theirs = (await js.stream_info(STREAM)).config
        async with service.relaying(form=magistrala()):
            await service.register()
            await service.relayed(relay="magistrala")
        assert (await js.stream_info(STREAM)).config == theirs
    # The platform has made the stream anew: what was told before is not told again.
    assert len(await told(broker)) == 1


async def test_what_others_write_between_disturbs_neither_order_nor_completeness(
    service: Service, broker: Broker
) -> None:
    async with service.relaying(form=magistrala()), jetstream(broker) as js:
        await service.register()
        await service.relayed(relay="magistrala")
        for _ in range(5):
            await js.publish("events.magistrala.channel.create", b"another service's")
            # The service before this one may be running still.
            await js.publish("events.magistrala.user.create", b"the old service's")
            await service.register(3)
            await service.relayed(relay="magistrala")
    stored = await broker.under("events.magistrala.user.>")
    ours = [decode("magistrala", message.body)["id"] for message in stored if b"old" not in message.body]
    assert len(ours) == len(set(ours)) == 16


async def test_messages_stored_but_not_recorded_are_found_again(service: Service, broker: Broker) -> None:
    await service.register(30)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    async with jetstream(broker) as js:
        config = (await js.stream_info(STREAM)).config
        await js.update_stream(config.evolve(duplicate_window=0.1))
    # What a relay leaves that died before its record of the last twenty; the broker forgets message ids.
    await service.execute("UPDATE relays SET position = 10, last_sequence = 10")
    await service.execute("DELETE FROM relay_messages WHERE position > 10")
    await service.register(5)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    told_of = await operations(broker)
    assert len(told_of) == len(set(told_of)) == 35
    assert await count_rows(service) == 35


async def test_a_relay_that_fails_at_any_record_leaves_neither_gap_nor_duplicate(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def fails_often(
        connection: psycopg.AsyncConnection, name: str, lease: Lease, position: int, sequence: int
    ) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise OSError
        await advance(connection, name, lease, position, sequence)

    monkeypatch.setattr(one_by_one, "advance", fails_often)
    await service.register(200)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    told_of = await operations(broker)
    assert len(told_of) == len(set(told_of)) == 200
    assert calls > 5


async def test_a_relay_that_wakes_up_after_another_took_over_tells_nothing_twice(
    service: Service, broker: Broker
) -> None:
    await service.register(30)
    zombie = FrozenReader(service.log.reader)
    async with service.relaying(reader=zombie, form=magistrala()):
        async with asyncio.timeout(10):
            await zombie.has_read.wait()
        async with service.relaying(form=magistrala()):
            await service.register(10)
            row = await service.relayed(relay="magistrala")
            zombie.goes_on.set()
            await service.register(10)
            await service.relayed(relay="magistrala")
            assert (await service.row("magistrala"))["fencing"] == row["fencing"]
    told_of = await operations(broker)
    assert len(told_of) == len(set(told_of)) == 50


async def test_messages_that_the_broker_lost_are_told_again(
    service: Service, broker: Broker, tmp_path: Path
) -> None:
    await service.register(20)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
        broker.kill()
        shutil.copytree(broker.store, tmp_path / "store")
        broker.start()
        await service.register(20)
        await service.relayed(relay="magistrala")
        broker.kill()
        shutil.rmtree(broker.store)
        shutil.copytree(tmp_path / "store", broker.store)
        broker.start()
        await service.register(20)

        async def complete() -> bool:
            return len(await operations(broker)) == 60

        await until(complete, "the lost messages to be told again")
    told_of = await operations(broker)
    assert len(set(told_of)) == 60
