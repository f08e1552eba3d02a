"""Whoever is erased leaves nothing in the platform's stream that was stored there and never recorded."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain import events
from infrastructure.nats import one_by_one, shared_stream
from infrastructure.nats.one_by_one import ATTEMPTS, OneByOne
from infrastructure.nats.position import Lease
from infrastructure.nats.relays import Relays
from infrastructure.nats.shared_stream import SharedStream
from infrastructure.settings import load
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.telling import Telling
from tests.nats.broker import Broker
from tests.nats.old_stream import count_rows, is_cleared, jetstream, magistrala, told
from tests.nats.service import AT, Service, registered, until

EMAIL = "canary@example.com"


async def stored_and_never_recorded(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> tuple[UUID, UUID]:
    """Two users whose messages the stream has and the record has not, one of whom is erased since."""
    gone, stays = uuid4(), uuid4()

    async def dies(
        connection: psycopg.AsyncConnection, name: str, lease: Lease, position: int, sequence: int
    ) -> None:
        raise OSError

    await service.append(gone, registered(1, email=EMAIL))
    await service.append(gone, events.PasswordResetRequested(at=AT))
    await service.append(stays, registered(2))
    with monkeypatch.context() as faulty:
        faulty.setattr(one_by_one, "advance", dies)
        async with service.relaying(form=magistrala()):

            async def all_there() -> bool:
                return len(await told(broker)) == 3

            await until(all_there, "the messages to be stored")
    assert await count_rows(service) == 0
    assert (await service.row("magistrala"))["position"] == 0
    await service.append(gone, events.ErasureRequested(at=AT))
    await service.append(gone, events.Erased(at=AT))
    # As the erasure does it; here nothing else is to be erased.
    await service.execute(
        "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", gone
    )
    return gone, stays


async def test_what_was_stored_before_a_fault_is_forgotten_by_the_next_session(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = await stored_and_never_recorded(service, broker, monkeypatch)
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    payloads = await told(broker)
    assert [payload["operation"] for payload in payloads if payload.get("id") == str(gone)] == ["user.delete"]
    assert [payload["operation"] for payload in payloads if payload["id"] == str(stays)] == ["user.create"]
    assert EMAIL not in str(payloads)
    assert await is_cleared(service, gone)


async def test_what_was_stored_before_a_fault_is_forgotten_where_the_form_is_switched_off(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = await stored_and_never_recorded(service, broker, monkeypatch)
    settings = load({"MG_USERS_EVENTS_FORMAT": "cloudevents"}).settings
    relays = Relays(settings, service.log.reader, service.conninfo, service.nats_url, service.signal)
    await relays.clear_silent()
    assert [payload["id"] for payload in await told(broker)] == [str(stays)]
    # Switched on again, it goes on as if nothing had been.
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
    payloads = await told(broker)
    assert [payload["id"] for payload in payloads] == [str(stays), str(gone)]
    assert await is_cleared(service, gone)


@pytest.mark.parametrize("in_a_row", [1, ATTEMPTS - 1, ATTEMPTS + 2])
async def test_others_who_write_under_our_subject_cost_neither_a_message_nor_an_erasure(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch, in_a_row: int
) -> None:
    """In the middle of a page, and more often in a row than one session bears."""
    send, sent, sessions = OneByOne._send, 0, 0
    (gone,) = await service.register()
    await service.rename(gone, 9)
    begin = SharedStream.begin

    async def counted(form: SharedStream, session: Any) -> Any:
        nonlocal sessions
        sessions += 1
        return await begin(form, session)

    async with jetstream(broker) as js:

        async def outrun(steps: OneByOne, telling: Telling) -> Any:
            nonlocal sent
            sent += 1
            if 5 <= sent < 5 + in_a_row:
                await js.publish(telling.subject, b"the old service's")
            return await send(steps, telling)

        monkeypatch.setattr(OneByOne, "_send", outrun)
        monkeypatch.setattr(SharedStream, "begin", counted)
        async with service.relaying(form=SharedStream(MAINFLUX)):
            await service.relayed(relay="mainflux")
            stored = await broker.under("events.mainflux.users")
            assert len(stored) == 10 + in_a_row
            assert len({message.headers.get("Nats-Msg-Id") for message in stored} - {None}) == 10
            assert sessions == (1 if in_a_row < ATTEMPTS else 2)
            await service.append(gone, events.ErasureRequested(at=AT))
            await service.relayed(relay="mainflux")
        left = await broker.under("events.mainflux.users")
        assert {message.body for message in left} == {b"the old service's"}


async def test_a_long_page_keeps_its_lease(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it runs out again before every message."""
    monkeypatch.setattr(one_by_one, "RENEWED", -1.0)
    send = OneByOne._send

    async def owned(steps: OneByOne, telling: Telling) -> Any:
        async with await psycopg.AsyncConnection.connect(service.conninfo) as connection:
            cursor = await connection.execute("SELECT lease_until > now() FROM relays")
            assert await cursor.fetchone() == (True,)
        await service.execute("UPDATE relays SET lease_until = now()")
        return await send(steps, telling)

    monkeypatch.setattr(OneByOne, "_send", owned)
    await service.register(10)
    async with service.relaying(form=magistrala()):
        assert (await service.relayed(relay="magistrala"))["fencing"] == 1
    assert len(await told(broker)) == 10


async def test_what_was_stored_and_never_recorded_is_found_behind_any_number_of_other_messages(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_stream, "LOOK_BACK", 20)
    gone, stays = await stored_and_never_recorded(service, broker, monkeypatch)
    async with jetstream(broker) as js:
        config = (await js.stream_info(shared_stream.STREAM)).config
        # As if the minutes had passed in which the broker itself knows messages again.
        await js.update_stream(config.evolve(duplicate_window=0.1))
        for _ in range(50):
            await js.publish("events.magistrala.thing.create", b"{}")
    async with service.relaying(form=magistrala()):
        await service.relayed(relay="magistrala")
        await until(lambda: is_cleared(service, gone), "the erasure")
    users = [message.get("id") for message in await told(broker)]
    assert users.count(str(stays)) == 1
    assert EMAIL not in str(await told(broker))
