"""Whoever is erased leaves no message in the platform's stream either, and nobody else loses one."""

from __future__ import annotations

import asyncio

from nats.js.api import StreamConfig

from domain import events
from infrastructure.nats.relays import Relays
from infrastructure.nats.shared_stream import STREAM, SharedStream
from infrastructure.settings import load
from interfaces.events.mainflux import MAINFLUX
from tests.nats.broker import Broker
from tests.nats.old_stream import SUBJECTS, is_cleared, jetstream, magistrala, told
from tests.nats.service import AT, Service, stop, until


async def test_a_user_who_is_forgotten_leaves_no_message_and_others_lose_none(
    service: Service, broker: Broker
) -> None:
    gone, *others = await service.register(3)
    async with (
        service.relaying(form=magistrala()),
        service.relaying(form=SharedStream(MAINFLUX)),
        jetstream(broker) as js,
    ):
        for user in (gone, *others):
            await service.rename(user, 4)
        for relay in ("magistrala", "mainflux"):
            await service.relayed(relay=relay)
        await js.publish("events.magistrala.channel.create", str(gone).encode())
        await service.append(gone, events.ErasureRequested(at=AT))
        await service.append(gone, events.Erased(at=AT))
        await service.rename(others[0], 1)
        for relay in ("magistrala", "mainflux"):
            await service.relayed(relay=relay)
        assert await is_cleared(service, gone)
    for form in SUBJECTS:
        payloads = await told(broker, form)
        assert [payload["operation"] for payload in payloads if payload["id"] == str(gone)] == [
            {"magistrala": "user.delete", "mainflux": "user.remove"}[form]
        ]
        assert len(payloads) == 2 * 5 + 1 + 1
    assert len(await broker.under("events.magistrala.channel.>")) == 1


async def test_an_erasure_waits_for_every_form_and_reaches_those_switched_off(
    service: Service, broker: Broker
) -> None:
    gone, _ = await service.register(2)
    async with service.relaying(form=magistrala()), service.relaying():
        await service.relayed(relay="magistrala")
        await service.relayed()
    async with service.relaying():
        await service.append(gone, events.ErasureRequested(at=AT))
        await service.relayed()
        assert not await is_cleared(service, gone)
        settings = load({"MG_USERS_EVENTS_FORMAT": "cloudevents"}).settings
        relays = Relays(settings, service.log.reader, service.conninfo, service.nats_url, service.signal)
        assert relays.names == ["users"]
        (job,) = relays.jobs()
        assert await job.run() == "looked for 1 users who are erased"
        assert await job.run() == ""
        assert await is_cleared(service, gone)
    assert [payload["id"] for payload in await told(broker)] != []
    assert str(gone) not in str(await told(broker))


async def test_what_stands_now_where_a_users_message_stood_is_left_alone(
    service: Service, broker: Broker
) -> None:
    gone, _ = await service.register(2)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    async with jetstream(broker) as js:
        await js.delete_stream(STREAM)
        await js.add_stream(StreamConfig(name=STREAM, subjects=["events.>"]))
        for _ in range(5):
            await js.publish("events.magistrala.channel.create", b"another service's")
        await service.append(gone, events.ErasureRequested(at=AT))
        async with service.relaying(form=magistrala()):
            await service.relayed(relay="magistrala")
        assert (await js.stream_info(STREAM)).state.messages == 5
    assert await is_cleared(service, gone)


async def test_a_stream_that_lets_nobody_be_forgotten_gets_nothing(service: Service, broker: Broker) -> None:
    async with jetstream(broker) as js:
        await js.add_stream(StreamConfig(name=STREAM, subjects=["events.>"], deny_delete=True))
        await service.register()
        task = asyncio.create_task(service.relay(form=magistrala()).run())

        async def said() -> bool:
            return "forbids deleting" in ((await service.row("magistrala")).get("last_error") or "")

        await until(said, "the relay to say why it waits")
        await stop(task)
        assert (await js.stream_info(STREAM)).state.messages == 0


async def test_where_messages_may_only_age_an_erasure_waits_until_they_have(
    service: Service, broker: Broker
) -> None:
    async with jetstream(broker) as js:
        await js.add_stream(StreamConfig(name=STREAM, subjects=["events.>"], deny_delete=True, max_age=3600))
        (gone,) = await service.register()
        async with service.relaying(form=magistrala()):
            await service.relayed(relay="magistrala")
            await service.append(gone, events.ErasureRequested(at=AT))
            await service.relayed(relay="magistrala")
        assert not await is_cleared(service, gone)
        # As if the hour were over.
        await js.purge_stream(STREAM)
        async with service.relaying(form=magistrala()):
            await until(lambda: is_cleared(service, gone), "the erasure to be done")
