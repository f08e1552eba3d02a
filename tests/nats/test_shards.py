"""Users spread over shards: where their messages are, and that those of a forgotten one are found there."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain import events
from infrastructure.nats import forget
from infrastructure.nats.connection import close
from infrastructure.nats.stream import STREAM, Shape
from interfaces.events.published import shard_of
from interfaces.events.telling import Mode
from tests.nats.broker import Broker
from tests.nats.service import AT, Service
from tests.nats.test_relay import assert_stream_tells_the_log


def test_a_shard_is_the_end_of_the_id_modulo_their_number() -> None:
    user = UUID("6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11")
    assert shard_of(user, 16) == 0x3C0A2B11 % 16
    assert shard_of(user, 1000) == 0x3C0A2B11 % 1000
    assert shard_of(user, 1) == 0


async def test_messages_are_published_under_the_shards_of_their_users_in_the_order_of_the_log(
    service: Service, broker: Broker
) -> None:
    users = await service.register(50)
    await service.rename(users[0], 3)
    async with service.relaying(shape=Shape(shards=4)):
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)
    for message in await broker.messages():
        _, shard, name = message.subject.split(".")
        assert int(shard) == shard_of(UUID(message.event["subject"]), 4)
        assert message.event["type"] == f"users.{name}.v1"


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_a_forgotten_user_leaves_no_message_in_any_shard_and_others_lose_none(
    service: Service, broker: Broker, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "LOOKED_AT", 20)
    gone, *others = await service.register(30)
    # Subjects of users first, then shards of two numbers: as settings change over the years.
    for shards in (0, 3, 5):
        async with service.relaying(shape=Shape(shards=shards), mode=mode):
            for user in (gone, others[0]):
                await service.rename(user, 55)
            await service.relayed()
    client = await broker.client()
    await client.publish("users.1.registered", b"not one of ours, and it names " + str(gone).encode())
    await close(client)
    before = len(await broker.messages())
    await service.append(gone, events.ErasureRequested(at=AT))
    async with service.relaying(shape=Shape(shards=5), mode=mode):
        await service.relayed()
        await service.append(gone, events.Erased(at=AT))
        await service.relayed()
    left = await broker.messages()
    assert len(left) == before - (1 + 3 * 55) + 1
    of_them = [m for m in left if str(gone) in f"{m.subject}{m.body!r}{m.headers}"]
    assert [m.subject.split(".")[-1] for m in of_them] == ["registered", "erased"]
    assert b"not one of ours" in of_them[0].body


async def test_the_stream_remembers_every_number_of_shards(service: Service, broker: Broker) -> None:
    await service.register()
    for shards in (0, 8, 2, 8):
        async with service.relaying(shape=Shape(shards=shards)):
            await service.register()
            await service.relayed()
    client = await broker.client()
    config = (await client.jetstream().stream_info(STREAM)).config
    await close(client)
    assert (config.metadata or {})["usersd-shards"] == "0,2,8"
