"""A message that is too large holds what is behind it, says so in full, and does so only where it must."""

from __future__ import annotations

import asyncio
import logging

import pytest
from nats.js.api import StreamConfig

from application.ports import Recorded
from domain import events
from infrastructure.nats.outgoing import FENCE_BYTES, Held, bounded, largest_for, size_of
from infrastructure.nats.shared_stream import STREAM, SharedStream
from infrastructure.nats.stream import STREAM as OURS
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.published import tell
from tests.nats.broker import Broker
from tests.nats.old_stream import jetstream, magistrala, told
from tests.nats.service import AT, Service, registered, stop, until
from tests.nats.test_published import recorded

LARGEST = 4096


def sample() -> Recorded:
    return recorded(events.Disabled(at=AT))


def test_a_message_is_as_large_as_its_body_and_its_headers() -> None:
    event = sample()
    telling = tell(event, mode="binary")
    headers = sum(len(name) + len(value) for name, value in telling.headers.items())
    assert size_of(telling) > len(telling.body) + headers + FENCE_BYTES
    assert bounded(event, telling, size_of(telling)) is telling
    with pytest.raises(Held, match=rf"a message of {size_of(telling)} bytes, and the stream takes"):
        bounded(event, telling, size_of(telling) - 1)


@pytest.mark.parametrize("unbounded", [None, 0, -1])
def test_the_smaller_of_two_bounds_is_the_one_that_holds(unbounded: int | None) -> None:
    assert largest_for(100, unbounded) == 100
    assert (largest_for(100, 50), largest_for(50, 100)) == (50, 50)


async def test_where_metadata_is_too_large_an_old_form_is_told_without_it(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with jetstream(broker) as js:
        await js.add_stream(StreamConfig(name=STREAM, subjects=["events.>"], max_msg_size=LARGEST))
    (user,) = await service.register()
    await service.append(user, events.ProfileUpdated(at=AT, metadata={"canary": "x" * LARGEST}))
    await service.append(user, events.ProfileUpdated(at=AT, metadata={"floor": 3}))
    async with service.relaying(form=magistrala()), service.relaying(form=SharedStream(MAINFLUX)):
        for relay in ("magistrala", "mainflux"):
            await service.relayed(relay=relay)
    _, large, small = await told(broker)
    assert "metadata" not in large
    assert large["first_name"] == "Ada"
    assert small["metadata"] == {"floor": 3}
    assert ["metadata" in payload for payload in await told(broker, "mainflux")] == [False, False, True]
    warned = "relay magistrala: the message of position 2 is too large, and told without its metadata"
    assert [record.getMessage() for record in caplog.records].count(warned) == 1
    assert "canary" not in caplog.text


@pytest.mark.parametrize("form", ["magistrala", "users"])
async def test_what_no_way_round_makes_small_enough_is_held_and_said_in_full(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    name, subjects = (STREAM, "events.>") if form == "magistrala" else (OURS, "users.>")
    async with jetstream(broker) as js:
        await js.add_stream(StreamConfig(name=name, subjects=[subjects], max_msg_size=LARGEST))
    (user,) = await service.register()
    await service.append(user, registered(2, first_name="x" * LARGEST))
    relay = service.relay(form=magistrala()) if form == "magistrala" else service.relay()
    task = asyncio.create_task(relay.run())

    async def said() -> bool:
        row = await service.row(form)
        return "held at position 2 (users.registered.v1): a message of" in (row.get("last_error") or "")

    await until(said, "the relay to say what holds it")
    await stop(task)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage().startswith(
        f"relay {form}: held at position 2 (users.registered.v1): a message of "
    )
    assert f"and the stream takes {LARGEST}" in line.getMessage()
    assert (await service.row(form))["position"] == 1
