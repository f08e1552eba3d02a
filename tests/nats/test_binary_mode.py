"""CloudEvents whose attributes are headers: told, and found again by the relay."""

from __future__ import annotations

import json

from infrastructure.nats.connection import close
from infrastructure.nats.stream import STREAM
from tests.nats.broker import Broker
from tests.nats.service import Service


async def test_in_binary_mode_attributes_are_headers_and_the_relay_finds_its_messages_again(
    service: Service, broker: Broker
) -> None:
    (user,) = await service.register()
    async with service.relaying():
        await service.relayed()
    await service.rename(user, 20)
    async with service.relaying(mode="binary"):
        await service.relayed()
    # As if the relay had died before its record, and the broker forgotten the ids of messages.
    await service.execute("UPDATE relays SET position = 5, last_sequence = 5")
    client = await broker.client()
    config = (await client.jetstream().stream_info(STREAM)).config
    await client.jetstream().update_stream(config.evolve(duplicate_window=0.1))
    await close(client)
    await service.rename(user, 1)
    async with service.relaying(mode="binary"):
        await service.relayed()
    first, *others = await broker.messages()
    assert first.event["position"] == "1"
    assert [message.headers["ce-position"] for message in others] == [str(n) for n in range(2, 23)]
    assert {message.headers["ce-subject"] for message in others} == {str(user)}
    assert all("Content-Type" not in message.headers for message in others)
    assert json.loads(others[0].body)["changed"] == ["first_name"]
