"""A read model that is paused stays as it is, whoever runs, and keeps nobody waiting."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from infrastructure.operations.readmodels import PostgresReadModels
from infrastructure.standing import open_keys
from projections.catalogue import READ_MODELS
from projections.lease import Fenced, Lease, acquire
from projections.rebuild import rebuild
from projections.users.projector import Users
from tests.projections.commanding import usersd, watching
from tests.projections.projecting import caught_up, check_read_models, one, projecting, rows
from tests.support.databases import standing
from tests.support.service import running_service
from tests.support.waiting import eventually
from tests.support.writer import Writer

_STANDS = "SELECT position, owner, fencing FROM projections WHERE name = 'users' AND live"


async def operators(conninfo: str) -> PostgresReadModels:
    return PostgresReadModels(standing(conninfo), await asyncio.to_thread(open_keys, standing(conninfo)))


async def test_a_paused_read_model_is_written_by_nobody_until_it_is_resumed(writer: Writer) -> None:
    users = await writer.register(3)
    work = await operators(writer.conninfo)
    async with projecting(writer, *READ_MODELS, Users()) as projectors:
        await caught_up(writer.conninfo)
        (owner,) = (made for made in projectors if made.owner == rows(writer.conninfo, _STANDS)[0][1])
        position, _, fencing = rows(writer.conninfo, _STANDS)[0]
        held = Lease(1, position, fencing)
        assert work.pause("users", "looking into it") == [1]
        before = rows(writer.conninfo, _STANDS)
        assert before[0][:2] == (3, None)
        for user in users:
            await writer.rename(user)
        # The others have gone on, so that this one had the time to.
        await caught_up(writer.conninfo, name="history")
        await caught_up(writer.conninfo, name="signups")
        async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
            assert await acquire(connection, Users(), 1, "a stand-by") is None
            assert await acquire(connection, Users(), 1, owner.owner) is None
            with pytest.raises(Fenced):
                await owner.follower(1)._step(connection, held)
        assert rows(writer.conninfo, _STANDS) == before
        (shown,) = (row for row in work.status() if row.name == "users")
        assert (shown.pause_reason, shown.lag_events, shown.owner) == ("looking into it", 3, None)
        assert work.resume("users") == [1]
        assert work.resume("users") == []
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)


async def test_writes_do_not_wait_for_a_paused_read_model_and_those_who_run_the_service_see_it(
    database: str,
) -> None:
    work = await operators(database)
    async with running_service(database) as client:
        admin = await client.as_admin()
        await client.http.post("/users", json=client.account())
        await asyncio.to_thread(work.pause, "users", "")

        async def told() -> bool:
            answer = await client.http.post("/users", json=client.account())
            return bool(answer.headers.get("usersd-read-model") == "behind")

        await eventually(told)
        began = time.monotonic()
        for _ in range(4):
            assert await told()
        # Each of them would have waited for two seconds.
        assert time.monotonic() - began < 6
        ready = await client.http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["paused"]) == (200, "users")
        assert 'usersd_projection_paused{generation="1",projection="users",state="live"} 1.0' in (
            (await client.http.get("/metrics")).text
        )
        await asyncio.to_thread(work.resume, "users")

        async def seen() -> bool:
            answer = await client.http.post("/users", json=client.account())
            page = (await client.http.get("/users?limit=1", headers=admin)).json()
            return "usersd-read-model" not in answer.headers and page["users"][0]["id"] == answer.json()["id"]

        await eventually(seen)
        assert "paused" not in (await client.http.get("/readyz")).json()["checks"]


async def test_the_commands_pause_and_resume_and_the_status_says_so(database: str) -> None:
    async with Writer(database) as writer:
        await writer.register(2)
        async with projecting(writer):
            await caught_up(database)
        paused = await asyncio.to_thread(usersd, database, "projections", "pause", "users", "--reason", "why")
        assert (paused.code, paused.err) == (0, "users: paused generation 1\n"), paused
        await writer.register()
        async with projecting(writer):
            await caught_up(database, name="history")
        shown = await asyncio.to_thread(usersd, database, "projections", "status")
        assert shown.code == 0, shown
        assert "live, paused" in shown.out
        assert "users v1 g1: paused since" in shown.out
        assert ": why" in shown.out
        resumed = await asyncio.to_thread(usersd, database, "projections", "resume", "users")
        assert (resumed.code, resumed.err) == (0, "users: resumed generation 1\n")
        assert one(database, "SELECT count(*) FROM projections WHERE paused_at IS NOT NULL") == 0
        assert (await asyncio.to_thread(usersd, database, "projections", "pause", "nothing")).code == 2


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "as JSON"])
async def test_the_status_is_watched_line_by_line_until_it_is_ended(database: str, as_json: bool) -> None:
    async with Writer(database) as writer:
        await writer.register(2)
        with watching(database, *(["--json"] if as_json else [])) as watched:
            await asyncio.to_thread(watched.until, '"lag_events":2' if as_json else "2 / ")
            async with projecting(writer):
                await caught_up(database)
                await asyncio.to_thread(watched.until, '"lag_events":0' if as_json else " 0 ")
        assert watched.code == 0


async def test_a_rebuild_does_not_switch_to_what_an_earlier_one_left_and_somebody_paused(
    database: str, writer: Writer
) -> None:
    await writer.register(3)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        left = await rebuild(Users(), writer.reader, writer.conninfo, switching=False)
        await asyncio.to_thread(usersd, writer.conninfo, "projections", "pause", "users")
        rebuilt = await rebuild(Users(), writer.reader, writer.conninfo)
        assert rebuilt.generation == left.generation + 1
        query = "SELECT generation FROM projections WHERE name = 'users' AND live AND paused_at IS NULL"
        assert one(writer.conninfo, query) == rebuilt.generation
    query = "SELECT count(*) FROM projections WHERE name = 'users' AND generation = %s"
    assert one(writer.conninfo, query, left.generation) == 0, "nobody would ever have read it"
