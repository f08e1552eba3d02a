"""A rebuild grows beside the live read model, loses nothing that is written meanwhile, and can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from application import bus
from application.operations import Progress, RebuildRunning
from domain import events
from projections import rebuild as rebuilding
from projections.catalogue import READ_MODELS
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from projections.users.projector import Users
from tests.projections.commanding import rebuild_and_die, usersd
from tests.projections.projecting import (
    caught_up,
    check_read_models,
    one,
    projecting,
    registered,
    rows,
    several_rebuilds,
)
from tests.support.program import Ended
from tests.support.service import running_service
from tests.support.waiting import eventually
from tests.support.writer import AT, Writer

each_model = pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)

_GENERATIONS = "SELECT generation, live FROM projections WHERE name = %s ORDER BY generation"


def generations(writer: Writer, model: ReadModel) -> list[tuple[int, bool]]:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        return list(connection.execute(_GENERATIONS, (model.name,)).fetchall())


def tables(writer: Writer, model: ReadModel) -> list[str]:
    found = rows(writer.conninfo, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return sorted(name for (name,) in found if name.startswith(f"{model.name}_v") and "_totals" not in name)


@asynccontextmanager
async def writing(writer: Writer) -> AsyncIterator[list[int]]:
    """Registrations and changes without a pause; the list holds the positions that were reached."""
    users, reached, chance = await writer.register(5), [0], random.Random(3)

    async def write() -> None:
        while True:
            if chance.random() < 0.5:
                users.extend(await writer.register())
            event = events.ProfileUpdated(at=AT, first_name=f"n{len(reached)}")
            reached.append(await writer.append(chance.choice(users), event))

    tasks = [asyncio.create_task(write())]
    try:
        yield reached
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@each_model
async def test_a_rebuild_while_writes_go_on_leaves_no_gap(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, model: ReadModel
) -> None:
    monkeypatch.setattr(rebuilding, "PAGE", 20)
    monkeypatch.setattr(rebuilding, "CLOSE", 5)
    await writer.random_history(11, users=40, events_each=5)
    async with projecting(writer), writing(writer) as reached:
        for _ in range(3):
            before = len(reached)
            await asyncio.wait_for(rebuild(model, writer.reader, writer.conninfo), 20)
            assert len(reached) > before, "nothing was written meanwhile, so nothing was shown"
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert generations(writer, model) == [(3, False), (4, True)]
    assert tables(writer, model) == [f"{model.name}_v1_g3", f"{model.name}_v1_g4"]


async def test_readers_never_see_less_than_before_while_a_rebuild_switches(writer: Writer) -> None:
    await writer.register(60)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        rebuilt = asyncio.Event()

        async def look() -> int:
            looks = 0
            async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as reading:
                while not rebuilt.is_set():
                    cursor = await reading.execute("SELECT count(*) FROM users_v1", prepare=True)
                    row = await cursor.fetchone()
                    assert row == (60,)
                    looks += 1
            return looks

        looking = [asyncio.create_task(look()) for _ in range(3)]
        for _ in range(4):
            await rebuild(Users(), writer.reader, writer.conninfo)
        rebuilt.set()
        assert min(await asyncio.gather(*looking)) > 4


@each_model
async def test_a_projector_goes_on_with_the_generation_that_was_rebuilt(
    writer: Writer, model: ReadModel
) -> None:
    (user,) = await writer.register()
    async with projecting(writer):
        await caught_up(writer.conninfo)
        # What is wrong in the old rows must not be carried over.
        rows(writer.conninfo, f"DELETE FROM {model.name}_v1_g1 RETURNING 1")
        rebuilt = await rebuild(model, writer.reader, writer.conninfo)
        assert (rebuilt.generation, rebuilt.position, rebuilt.parked) == (2, 1, 0)
        await writer.rename(user, 3)
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert one(writer.conninfo, f"SELECT max(version) FROM {model.name}_v1_g2") == 4
    assert set(rows(writer.conninfo, "SELECT last_error FROM projections")) == {(None,)}


@each_model
async def test_a_rebuild_that_is_killed_is_taken_up_where_it_was(writer: Writer, model: ReadModel) -> None:
    await writer.register(700)
    await asyncio.to_thread(rebuild_and_die, writer.conninfo, model.name, "100")
    position = one(
        writer.conninfo, "SELECT position FROM projections WHERE name = %s AND generation = 2", model.name
    )
    assert position == 100
    assert generations(writer, model) == [(1, True), (2, False)]
    shown = await asyncio.to_thread(usersd, writer.conninfo, "projections", "status", "--json")
    assert "building" in {row["state"] for row in shown.rows}
    # Which transaction wrote a row tells whether it was kept or written anew.
    query = f"SELECT xmin::text, t::text FROM {model.name}_v1_g2 AS t"
    before = set(rows(writer.conninfo, query))
    assert len(before) == 100
    await rebuilt_at_last(writer, model)
    assert generations(writer, model) == [(1, False), (2, True)]
    assert before < set(rows(writer.conninfo, query))
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)


async def rebuilt_at_last(writer: Writer, model: ReadModel) -> None:
    """Rebuild, as soon as the database has noticed that the killed one is gone."""

    async def tried() -> bool:
        try:
            await rebuild(model, writer.reader, writer.conninfo)
        except RebuildRunning:
            return False
        return True

    await eventually(tried)


@each_model
async def test_a_rebuild_that_is_killed_behind_its_switch_is_not_undone_by_the_next(
    writer: Writer, model: ReadModel
) -> None:
    await writer.register(30)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    await asyncio.to_thread(rebuild_and_die, writer.conninfo, model.name, "switched")
    assert generations(writer, model) == [(1, False), (2, True)]
    # The reason for a rebuild is most often that the old rows are wrong.
    rows(writer.conninfo, f"DELETE FROM {model.name}_v1_g1 RETURNING 1")
    await rebuilt_at_last(writer, model)
    assert generations(writer, model) == [(2, False), (3, True)]
    assert tables(writer, model) == [f"{model.name}_v1_g2", f"{model.name}_v1_g3"]
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)


async def test_of_two_rebuilds_at_once_the_second_says_so_and_ends_with_75(writer: Writer) -> None:
    await writer.register(10)
    second: list[Ended] = []

    def try_a_second(step: Progress) -> None:
        if not second:
            second.append(usersd(writer.conninfo, "projections", "rebuild", "users"))

    await rebuild(Users(), writer.reader, writer.conninfo, try_a_second)
    assert second[0].code == 75, second
    assert "users is being rebuilt by another process" in second[0].err
    assert second[0].out == ""
    assert generations(writer, Users()) == [(1, False), (2, True)]


async def test_the_command_rebuilds_and_says_what_it_did(writer: Writer) -> None:
    await writer.register(10)
    unknown = await asyncio.to_thread(usersd, writer.conninfo, "projections", "rebuild", "nothing")
    assert unknown.code == 2
    assert "There is no projection 'nothing'; there are: users, history, signups." in unknown.err
    rebuilt = await asyncio.to_thread(usersd, writer.conninfo, "projections", "rebuild", "history", "--json")
    assert rebuilt.code == 0, rebuilt
    (row,) = rebuilt.rows
    assert row.pop("switched_in_milliseconds") > 0
    assert row == {"name": "history", "generation": 2, "position": 10, "parked": 0, "corrected": 0}


@each_model
async def test_users_whose_key_was_destroyed_leave_no_row_and_stop_no_rebuild(
    writer: Writer, model: ReadModel
) -> None:
    users = await writer.random_history(17, users=12, events_each=4)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    for user in users[:4]:
        writer.forget(user)
    rebuilt = await rebuild(model, writer.reader, writer.conninfo)
    assert rebuilt.parked == 0
    async with projecting(writer):
        await caught_up(writer.conninfo)
    left = {user for (user,) in rows(writer.conninfo, f"SELECT DISTINCT {model.key} FROM {model.name}_v1")}
    assert left == set(users[4:])


@each_model
async def test_a_rebuild_parks_what_it_cannot_apply_and_tries_again_what_was_parked(
    writer: Writer, model: ReadModel
) -> None:
    good, bad = await writer.register(2)
    writer.by_hand(bad, "users.teleported.v1", version=2)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    rebuilt = await rebuild(model, writer.reader, writer.conninfo)
    assert rebuilt.parked == 1
    # A version of the service that knows the event.
    writer.keys.mapper.upcast(
        "users.teleported.v1", events.ProfileUpdated, lambda fields: {"first_name": "T"}
    )
    rebuilt = await rebuild(model, writer.reader, writer.conninfo)
    assert rebuilt.parked == 0
    async with projecting(writer):
        await writer.rename(good)
        await caught_up(writer.conninfo)
    parked = "SELECT generation FROM parked_streams WHERE projection = %s"
    assert one(writer.conninfo, parked, model.name) == 2, "the generation that was kept has it still"


async def test_the_switch_is_announced_to_those_who_wait_for_a_position(writer: Writer) -> None:
    await writer.register(3)
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as listening:
        await listening.execute("LISTEN usersd_projections")
        await rebuild(Users(), writer.reader, writer.conninfo)
        heard = [notice.payload async for notice in listening.notifies(timeout=5, stop_after=1)]
    assert heard == ["users:1:3"]


async def test_a_write_that_waits_is_released_by_the_switch_of_a_rebuild(
    any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No projector runs: the rebuild alone brings the read model to the write's position, in its time."""
    monkeypatch.setattr(bus, "VISIBLE_WITHIN", 60.0)
    async with running_service(any_database, project=False) as client, Writer(any_database) as writer:
        head = one(any_database, "SELECT max(position) FROM events")
        waiting = asyncio.create_task(registered(client))

        async def stored() -> bool:
            return bool(one(any_database, "SELECT max(position) FROM events") > head)

        await eventually(stored)
        for model in (Users(), Signups()):
            await rebuild(model, writer.reader, any_database)
        answer = await waiting
        assert "usersd-read-model" not in answer.headers
        assert int(answer.headers["usersd-position"]) == head + 1


async def test_writes_are_seen_at_once_all_through_rebuilds(any_database: str) -> None:
    async with running_service(any_database) as client, Writer(any_database) as writer:
        admin = await client.as_admin()
        rebuilds = asyncio.create_task(several_rebuilds(writer))
        writes = 0
        while not rebuilds.done():
            answer = await registered(client)
            assert "usersd-read-model" not in answer.headers
            page = (await client.http.get("/users?limit=1", headers=admin)).json()
            assert page["users"][0]["id"] == answer.json()["id"]
            writes += 1
        await rebuilds
        assert writes > 3
        await caught_up(any_database)
        await check_read_models(any_database)
