"""What the relay promises: at least once, in order, nothing left out, one publisher at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import events
from infrastructure.nats import forget, own_stream
from infrastructure.nats.connection import close
from infrastructure.nats.stream import STREAM, Shape
from tests.nats.broker import Broker
from tests.nats.service import AT, Service, registered, until


async def assert_stream_tells_the_log(service: Service, broker: Broker) -> None:
    """Every event once, in the order of the log."""
    stored = await broker.messages()
    assert [message.event["id"] for message in stored] == await service.event_ids()
    positions = [message.position for message in stored]
    assert positions == sorted(positions)


async def test_every_event_is_published_once_and_in_the_order_of_the_log(
    service: Service, broker: Broker
) -> None:
    users = await service.register(300)
    async with service.relaying():
        await asyncio.gather(*(service.rename(user, 3) for user in users))
        row = await service.relayed()
    await assert_stream_tells_the_log(service, broker)
    assert row["position"] == 1200
    assert row["last_sequence"] == 1200
    assert row["last_error"] is None
    message = (await broker.messages())[0]
    assert message.subject == f"users.{message.event['subject']}.registered"
    assert message.headers["Nats-Msg-Id"] == message.event["id"]


async def test_a_change_is_published_soon_after_it_was_stored(service: Service, broker: Broker) -> None:
    async with service.relaying():
        (user,) = await service.register()
        await service.relayed()
        for _ in range(3):
            position = await service.append(user, events.TagsChanged(at=AT, tags=["a"]))
            await service.relayed(position, within=2)


async def test_a_relay_that_starts_again_goes_on_where_it_stopped(service: Service, broker: Broker) -> None:
    for _ in range(3):
        await service.register(20)
        async with service.relaying():
            await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_a_relay_that_is_not_needed_any_more_gives_its_lease_back(service: Service) -> None:
    async with service.relaying():
        await service.register()
        await service.relayed()
    assert (await service.row())["owner"] is None


async def test_a_lost_database_connection_costs_nothing(service: Service, broker: Broker) -> None:
    await service.register(50)
    async with service.relaying():
        await service.relayed()
        await service.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await service.register(50)
        await service.relayed()
    await assert_stream_tells_the_log(service, broker)


async def test_an_event_that_cannot_be_read_holds_everything_behind_it_and_is_reported_once(
    service: Service, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    users = await service.register(3)
    await append_under_a_newer_name(service, users[0])
    await service.rename(users[1], 2)
    with caplog.at_level(logging.INFO, "usersd.relay"):
        async with service.relaying():

            async def held() -> bool:
                return bool((await service.row()).get("last_error"))

            await until(held, "the relay to say that it holds")
            fencing = (await service.row())["fencing"]

            async def tried_again() -> bool:
                return bool((await service.row())["fencing"] > fencing + 2)

            await until(tried_again, "the relay to try again")
            row = await service.row()
            assert row["position"] == 3
            assert row["last_error"] == "held at position 4 (users.moved.v1): unknown_event"
            errors = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert len(errors) == 1
            assert "position 4" in errors[0].getMessage()
            assert [message.position for message in await broker.messages()] == [1, 2, 3]

            service.mapper.upcast("users.moved.v1", events.Enabled, lambda fields: fields)
            row = await service.relayed()
    assert row["last_error"] is None
    await assert_stream_tells_the_log(service, broker)


async def append_under_a_newer_name(service: Service, user: UUID) -> None:
    """An event as a newer version of the service would write it."""
    await service.append(user, events.Enabled(at=AT))
    async with await psycopg.AsyncConnection.connect(service.conninfo, autocommit=True) as connection:
        await connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
        await connection.execute(
            "UPDATE events SET name = 'users.moved.v1' WHERE position = (SELECT max(position) FROM events)"
        )
        await connection.execute("ALTER TABLE events ENABLE TRIGGER USER")


async def test_a_message_too_large_for_the_broker_holds_the_relay_and_is_named(
    service: Service, broker: Broker
) -> None:
    (user,) = await service.register()
    await service.append(user, events.ProfileUpdated(at=AT, metadata={"big": "x" * 1_100_000}))
    async with service.relaying():

        async def held() -> bool:
            return "a message of" in ((await service.row()).get("last_error") or "")

        await until(held, "the relay to say that it holds")
    assert [message.position for message in await broker.messages()] == [1]


async def test_of_a_forgotten_user_nothing_is_published_but_the_erasure(
    service: Service, broker: Broker
) -> None:
    kept, forgotten = await service.register(2)
    await service.append(forgotten, events.Erased(at=AT))
    await service.execute(
        "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", forgotten
    )
    async with service.relaying():
        row = await service.relayed()
    assert row["position"] == 3
    assert {m.subject for m in await broker.messages()} == {
        f"users.{kept}.registered",
        f"users.{forgotten}.erased",
    }


async def test_a_log_that_ends_with_what_is_not_published_is_followed_to_its_end(
    service: Service, broker: Broker
) -> None:
    (user,) = await service.register()
    async with service.relaying():
        await service.relayed()
        await service.append(user, events.ErasureRequested(at=AT))
        row = await service.relayed()
        assert (row["position"], row["last_sequence"]) == (2, 1)
        await service.register()
        assert (await service.relayed())["last_sequence"] == 2
    assert [message.position for message in await broker.messages()] == [3]


async def test_a_user_who_is_forgotten_leaves_no_message_and_others_lose_none(
    service: Service, broker: Broker
) -> None:
    gone, *others = await service.register(3)
    async with service.relaying():
        for user in (gone, *others):
            await service.rename(user, 60)
        await service.relayed()
        await service.append(gone, events.ErasureRequested(at=AT))
        await service.relayed()
    subjects = [message.subject for message in await broker.messages()]
    assert len(subjects) == 2 * 61
    assert not any(str(gone) in subject for subject in subjects)


async def test_a_relay_that_ended_before_it_forgot_somebody_forgets_them_when_it_goes_on(
    service: Service, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone,) = await service.register()
    async with service.relaying():
        await service.relayed()
    failed: list[bool] = []

    async def fails_once(*given: Any) -> None:
        if not failed:
            failed.append(True)
            raise OSError
        await forget.forget(*given)

    monkeypatch.setattr(own_stream, "forget", fails_once)
    await service.append(gone, events.ErasureRequested(at=AT))
    await service.register()
    async with service.relaying():
        await service.relayed()
    assert failed
    assert [message.position for message in await broker.messages()] == [3]


async def test_a_broker_that_starts_again_has_not_lost_what_was_overwritten_at_its_end(
    service: Service, broker: Broker
) -> None:
    (user,) = await service.register()
    async with service.relaying():
        await service.relayed()
        await service.append(user, events.ErasureRequested(at=AT))
        await service.relayed()
        broker.kill()
        broker.start()
        await service.register()
        assert (await service.relayed())["last_sequence"] == 2
    assert [message.position for message in await broker.messages()] == [3]


async def test_neither_a_secret_nor_private_metadata_is_in_any_message(
    service: Service, broker: Broker
) -> None:
    (user,) = await service.register()
    await service.append(user, events.ProfileUpdated(at=AT, private_metadata={"canary-key": "canary-value"}))
    other = UUID(int=7)
    await service.append(other, registered(99, private_metadata={"canary-key": "canary-value"}))
    await service.append(other, events.SecretChanged(at=AT), secret_hash="canary-hash")
    async with service.relaying():
        await service.relayed()
    stored = await broker.messages()
    assert len(stored) == 4
    assert all("canary" not in f"{message.body!r}{message.headers}{message.subject}" for message in stored)
    assert stored[1].event["data"]["changed"] == ["private_metadata"]


async def test_without_personal_data_messages_tell_only_ids_and_which_fields_changed(
    service: Service, broker: Broker
) -> None:
    personal = {
        "email": "canary@example.com", "username": "canary", "first_name": "canary", "last_name": "canary",
        "name": "canary", "tags": ["canary"], "metadata": {"canary": 1}, "profile_picture": "canary",
    }  # fmt: skip
    user = UUID(int=8)
    await service.append(user, registered(1, **personal))
    await service.append(user, events.ProfileUpdated(at=AT, metadata={"canary": 2}, name="canary"))
    await service.append(user, events.EmailChanged(at=AT, email="canary2@example.com"))
    await service.append(user, events.TagsChanged(at=AT, tags=["canary"]))
    async with service.relaying(pii="none"):
        await service.relayed()
    stored = await broker.messages()
    assert all(b"canary" not in message.body for message in stored)
    first, second, *_ = (message.event["data"] for message in stored)
    assert first == {
        "user_id": str(user), "status": "enabled", "role": "user", "auth_provider": "",
        "changed": list(personal),
    }  # fmt: skip
    assert second == {"user_id": str(user), "changed": ["name", "metadata"]}


async def test_the_settings_of_an_existing_stream_follow_ours_and_the_operators_stay(
    service: Service, broker: Broker
) -> None:
    await service.register()
    async with service.relaying():
        await service.relayed()
    client = await broker.client()
    js = client.jetstream()
    config = (await js.stream_info(STREAM)).config
    await js.update_stream(config.evolve(max_bytes=10_000_000))
    async with service.relaying(shape=Shape(max_age=3600.0)):
        await service.register()
        await service.relayed()
    config = (await js.stream_info(STREAM)).config
    await close(client)
    assert config.max_age == 3600
    assert config.max_bytes == 10_000_000
    assert (config.deny_delete, config.deny_purge, config.allow_direct) == (False, False, True)
    assert config.duplicate_window == 120
