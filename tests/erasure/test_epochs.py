"""Sealing epochs: what an older copy opens before a change and after it; and nobody notices the change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from application.ports import Recorded
from infrastructure.event_store import epochs
from infrastructure.event_store.keyring import Keyring, open_keyring, unseal
from infrastructure.event_store.log import EventReader
from infrastructure.event_store.mapper import EventMapper, SealBroken
from infrastructure.standing import open_keys
from tests.erasure.world import World, running_world
from tests.nats.broker import Broker
from tests.support.databases import ROOT_KEY, standing
from tests.support.waiting import eventually

_COPY = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM events e JOIN user_keys k ON k.user_id = e.stream_id WHERE e.stream_id = %s ORDER BY e.version"""
_KEYS = "SELECT purpose, epoch, wrapped FROM keyring WHERE wrapped IS NOT NULL"


def copied(conninfo: str, user_id: UUID) -> list[Any]:
    """The rows of a user as an older copy of the database has them: events, and the wrapped key."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(_COPY, (user_id,)).fetchall()


def opened(rows: list[Any], keyring: Keyring) -> str:
    """What is personal in those rows."""
    reader = EventReader(EventMapper(), keyring)
    found = [reader.open(row, reader.key_of(row)) for row in rows]
    assert all(isinstance(recorded, Recorded) for recorded in found)
    return str([recorded.event for recorded in found])


def live_keyring(conninfo: str) -> Keyring:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return open_keyring(connection, ROOT_KEY)


def new_epoch(conninfo: str, keyring: Keyring, *, always: bool = False) -> epochs.Changed:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        epochs.begin(connection, keyring, always=always)
        return epochs.change(connection, keyring)


async def test_an_older_copy_opens_before_its_epoch_is_destroyed_and_not_after(world: World) -> None:
    user_id = await world.registered(first_name="Canary")
    copy = copied(world.conninfo, user_id)
    await world.erase(user_id)
    await world.certified(user_id)
    assert "Canary" in opened(copy, live_keyring(world.conninfo)), "the wrapped key sleeps in every copy"
    done = new_epoch(world.conninfo, world.service.erasure.epochs.keyring)
    assert (done.epoch, done.destroyed) == (2, [1])
    with pytest.raises(SealBroken):
        opened(copy, live_keyring(world.conninfo))


async def test_a_copy_with_its_own_keyring_opens_until_its_root_key_is_gone(world: World) -> None:
    user_id = await world.registered(first_name="Canary")
    copy = copied(world.conninfo, user_id)
    with psycopg.connect(world.conninfo) as connection:
        keyring_rows = connection.execute(_KEYS).fetchall()
    await world.erase(user_id)
    await world.certified(user_id)
    new_epoch(world.conninfo, world.service.erasure.epochs.keyring)
    root = AESGCM(ROOT_KEY)
    kept = {(p, e): unseal(root, wrapped, f"{p}/{e}".encode()) for p, e, wrapped in keyring_rows}
    of_the_copy = Keyring(
        ROOT_KEY,
        kept["lookup", 1],
        kept["refresh", 1],
        {1: kept["seal", 1]},
        kept["cursor", 1],
        kept["mail", 1],
        kept["checkpoint", 1],
    )
    assert "Canary" in opened(copy, of_the_copy), "so the root key of that time has to go as well"


async def test_an_epoch_changes_only_where_that_closes_something(world: World) -> None:
    user_id = await world.registered()
    assert await world.service.erasure.epochs.begin() == ""
    await world.erase(user_id)
    assert await world.service.erasure.epochs.begin() == "began sealing epoch 2"
    assert await world.service.erasure.epochs.begin() == ""
    assert "epochs destroyed: [1]" in await world.service.erasure.epochs.go_on()
    assert await world.service.erasure.epochs.go_on() == ""


async def test_every_key_is_wrapped_anew_in_batches_that_can_be_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [await world.registered() for _ in range(5)]
    monkeypatch.setattr(epochs, "BATCH", 2)
    keyring = world.service.erasure.epochs.keyring
    asked = iter([False, True])
    with psycopg.connect(world.conninfo, autocommit=True) as connection:
        epochs.begin(connection, keyring, always=True)
        stopped = epochs.change(connection, keyring, lambda: next(asked))
        assert (stopped.rewrapped, stopped.stopped, stopped.destroyed) == (2, True, [])
        rest = epochs.change(connection, keyring)
    # The first admin is among them.
    assert (rest.rewrapped, rest.destroyed) == (4, [1])
    fresh = live_keyring(world.conninfo)
    for user_id in users:
        assert "example.com" in opened(copied(world.conninfo, user_id), fresh)


async def test_no_request_fails_while_the_epoch_changes_under_two_replicas(
    world: World, database: str, broker: Broker, tmp_path: Path
) -> None:
    async with running_world(database, broker, tmp_path / "other.ndjson") as other:
        stop = asyncio.Event()
        answers: list[int] = []

        async def requests(on: World, letter: str) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                names = {"username": f"{letter}{number}", "secret": "changeMe123"}
                account = on.client.account(email=f"{letter}{number}@example.com", credentials=names)
                made = await on.client.http.post("/users", json=account)
                answers.append(made.status_code)
                admin = await on.client.as_admin()
                path = f"/users/{made.json()['id']}"
                changed = await on.client.http.patch(path, json={"first_name": "n"}, headers=admin)
                answers.append(changed.status_code)

        work = [asyncio.create_task(requests(world, "a")), asyncio.create_task(requests(other, "b"))]
        for change in range(3):
            before = len(answers)
            done = await asyncio.to_thread(
                new_epoch, database, (world, other)[change % 2].service.erasure.epochs.keyring, always=True
            )
            assert done.epoch == change + 2

            async def some_more(least: int = before + 6) -> bool:
                return len(answers) > least

            await eventually(some_more, within=20)
        stop.set()
        await asyncio.gather(*work)
        assert set(answers) == {200, 201}
    assert world.one("SELECT count(*) FROM parked_streams") == 0
    lost = (
        "SELECT count(*) FROM user_keys JOIN keyring y USING (epoch)"
        " WHERE purpose = 'seal' AND y.wrapped IS NULL"
    )
    assert world.one(lost) == 0, "nobody's key is wrapped by what was destroyed"


async def test_a_key_wrapped_by_a_destroyed_epoch_is_never_stored(world: World) -> None:
    behind = world.service.erasure.epochs.keyring
    elsewhere = await asyncio.to_thread(open_keys, standing(world.conninfo))
    new_epoch(world.conninfo, elsewhere.keyring, always=True)
    assert behind.epoch == 1, "this process has not noticed yet"
    user = await world.client.register()
    assert behind.epoch == 2
    assert world.one("SELECT epoch FROM user_keys WHERE user_id = %s", user["id"]) == 2
