"""What becomes of order and completeness when the broker dies, loses, forgets, is full, slow or closed."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from infrastructure.nats import publisher, relay
from infrastructure.nats.connection import close
from infrastructure.nats.stream import STREAM
from tests.nats.broker import PASSWORD, Broker
from tests.nats.service import Service, stop, until
from tests.nats.test_relay import assert_stream_tells_the_log


async def test_the_broker_killed_and_started_again_while_publishing_loses_nothing_and_keeps_the_order(
    service: Service, broker: Broker
) -> None:
    async def write() -> None:
        for _ in range(20):
            await service.register(100)

    async with service.relaying():
        writing = asyncio.create_task(write())
        for reached in (200, 800):

            async def enough(goal: int = reached) -> bool:
                return int((await service.row()).get("position", 0)) >= goal

            await until(enough, "some messages to be published")
            broker.kill()
            await asyncio.sleep(0.2)
            broker.start()
        await writing
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_without_a_broker_changes_are_stored_and_published_when_it_comes(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.kill()
    with caplog.at_level(logging.INFO):
        async with service.relaying():
            await service.register(20)

            async def said() -> bool:
                return "no NATS at 127.0.0.1" in ((await service.row()).get("last_error") or "")

            await until(said, "the relay to say what it waits for")
            broker.start()
            row = await service.relayed()
    assert row["last_error"] is None
    await assert_stream_tells_the_log(service, broker)
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].exc_info is None
    assert PASSWORD not in caplog.text


async def test_messages_that_the_broker_lost_are_published_again(
    service: Service, broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await service.register(30)
    async with service.relaying():
        await service.relayed()
        broker.kill()
        shutil.copytree(broker.store, tmp_path / "store")
        broker.start()
        await service.register(30)
        await service.relayed()
        broker.kill()
        shutil.rmtree(broker.store)
        shutil.copytree(tmp_path / "store", broker.store)
        broker.start()
        assert await broker.last_sequence() == 30
        await service.register(30)
        await service.relayed()

        async def complete() -> bool:
            return await broker.last_sequence() == 90

        await until(complete, "the lost messages to be published again")
    assert "has lost messages" in caplog.text
    await assert_stream_tells_the_log(service, broker)


async def test_a_deleted_stream_is_made_again_and_the_relay_goes_on_from_its_own_position(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await service.register(20)
    async with service.relaying():
        await service.relayed()
        client = await broker.client()
        await client.jetstream().delete_stream(STREAM)
        await close(client)
        await service.register(5)
        await service.relayed()
    assert [message.position for message in await broker.messages()] == list(range(21, 26))
    assert "another than before" in caplog.text


async def test_a_broker_replaced_by_an_empty_one_gets_everything_from_then_on(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with service.relaying():
        await service.register(20)
        await service.relayed()
        broker.kill()
        shutil.rmtree(broker.store)
        await service.register(300)
        broker.start()
        await service.relayed()
        await service.register(5)
        await service.relayed()
    assert [message.position for message in await broker.messages()] == list(range(21, 326))
    assert "another than before" in caplog.text


async def test_a_broker_without_room_holds_messages_back_and_no_request_and_goes_on_when_there_is_room(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LONGEST_PAUSE", 0.1)
    broker.kill()
    broker.start(
        f'authorization {{ users: [ {{ user: relay, password: "{PASSWORD}" }} ] }}\n'
        "jetstream { max_file_store: 512K }\n"
    )
    async with service.relaying():
        await service.register(1000)

        async def full() -> bool:
            return "insufficient" in ((await service.row()).get("last_error") or "")

        await until(full, "the relay to say that there is no room")
        # Requests go on.
        await service.register(100)
        client = await broker.client()
        js = client.jetstream()
        assert 0 < (await js.stream_info(STREAM)).state.last_seq < 1000
        seen: list[int] = []

        async def done_with_room_made_again_and_again() -> bool:
            # What was read makes room, and nothing else.
            read = await broker.under("users.>", STREAM)
            seen.extend(message.position for message in read)
            if read:
                await js.purge_stream(STREAM, seq=read[-1].sequence + 1)
            return bool(seen and seen[-1] == 1100)

        await until(done_with_room_made_again_and_again, "the relay to go on", within=60)
        await close(client)
    assert seen == list(range(1, 1101))
    lines = [record.getMessage() for record in caplog.records if record.name == "usersd.relay"]
    assert any("insufficient" in line for line in lines)
    assert len(lines) < 30


async def test_messages_that_are_stored_and_gone_before_they_were_recorded_are_passed_over_quickly(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await service.register(300)
    async with service.relaying():
        await service.relayed()
    client = await broker.client()
    await client.jetstream().purge_stream(STREAM)
    await close(client)
    await service.execute("UPDATE relays SET position = 0, last_sequence = 0")
    # The broker knows their ids still, and takes none of them a second time.
    with caplog.at_level(logging.INFO):
        async with service.relaying():
            await service.register(5)
            await service.relayed()
    assert [message.position for message in await broker.messages()] == list(range(301, 306))
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 2


async def test_a_broker_that_answers_too_late_is_given_up_and_what_it_took_is_not_sent_again(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "ANSWER_SECONDS", 0.3)
    async with service.relaying():
        await service.register(10)
        await service.relayed()
        broker.freeze()
        await service.register(300)

        async def given_up() -> bool:
            return "no acknowledgement" in ((await service.row()).get("last_error") or "")

        await until(given_up, "the relay to give up")
        broker.thaw()
        await service.register(10)
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_wrong_credentials_are_one_clear_line_and_no_request_waits_until_they_are_right(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    right, service.nats_url = service.nats_url, service.nats_url.replace(PASSWORD, "another-password")
    with caplog.at_level(logging.INFO):
        async with service.relaying():
            await service.register(20)

            async def said() -> bool:
                return "Authorization Violation" in ((await service.row()).get("last_error") or "")

            await until(said, "the relay to say what is wrong")
            await service.register(20)
            broker.kill()
            users = '{ user: relay, password: "another-password" }, { user: test, password: "test" }'
            broker.start(f"authorization {{ users: [ {users} ] }}\n")
            await service.relayed()
    lines = [record for record in caplog.records if "Authorization Violation" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].exc_info is None
    assert "another-password" not in caplog.text
    broker.kill()
    service.nats_url = right
    broker.start(f'authorization {{ users: [ {{ user: relay, password: "{PASSWORD}" }} ] }}\n')
    await assert_stream_tells_the_log(service, broker)


async def test_an_unreachable_broker_does_not_keep_the_relay_from_stopping(
    service: Service, broker: Broker
) -> None:
    broker.kill()
    task = asyncio.create_task(service.relay().run())
    await asyncio.sleep(0.3)
    await stop(task)


async def test_nothing_is_told_to_a_stream_in_which_nobody_could_be_forgotten(
    service: Service, broker: Broker
) -> None:
    client = await broker.client()
    js = client.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=["users.>"], deny_delete=True))
    await service.register(3)
    async with service.relaying():

        async def refused() -> bool:
            return "forbids deleting messages" in ((await service.row()).get("last_error") or "")

        await until(refused, "the refusal")
        assert (await js.stream_info(STREAM)).state.messages == 0
        await js.delete_stream(STREAM)
        await service.relayed()
    assert len(await broker.messages()) == 3
    await close(client)
