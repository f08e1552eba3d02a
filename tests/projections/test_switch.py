"""The switch waits for nobody for long, and nobody waits for it."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from application.operations import SwitchBlocked, Switched
from projections import switch as switching
from projections.rebuild import rebuild
from projections.switch import beside, switch
from projections.users.projector import Users
from tests.projections.projecting import caught_up, one, projecting
from tests.support.waiting import eventually
from tests.support.writer import Writer

_LIVE = "SELECT generation FROM projections WHERE name = 'users' AND live"


async def turned(writer: Writer, *, newer: bool) -> Switched:
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
        number = await beside(connection, Users(), newer=newer)
        return await switch(connection, writer.reader, Users(), number)


@pytest.fixture
async def two_generations(writer: Writer) -> Writer:
    """A log whose users stand in a live generation, and in a newer one that nobody reads yet."""
    await writer.register(50)
    async with projecting(writer, Users()):
        await caught_up(writer.conninfo, name="users")
        await rebuild(Users(), writer.reader, writer.conninfo, switching=False)
    return writer


async def test_a_long_query_lets_others_pass_and_the_switch_in_when_it_ends(two_generations: Writer) -> None:
    conninfo = two_generations.conninfo
    slowest, looks = 0.0, 0
    async with (
        await psycopg.AsyncConnection.connect(conninfo) as long,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as quick,
    ):
        # A transaction keeps what it has read locked to its end, as a query of minutes does.
        await long.execute("SELECT count(*) FROM users_v1")
        turning = asyncio.create_task(turned(two_generations, newer=True))

        async def waited_for() -> bool:
            # On a connection that is open already: it steps back sooner than a busy machine makes one.
            query = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'users_v1'::regclass"
            return (await quick.execute(query)).rowcount > 0

        for _ in range(3):
            await eventually(waited_for)
            began = time.monotonic()
            cursor = await quick.execute("SELECT count(*) FROM users_v1")
            assert await cursor.fetchone() == (50,)
            slowest, looks = max(slowest, time.monotonic() - began), looks + 1
        assert not turning.done()
        assert one(conninfo, _LIVE) == 1
        await long.rollback()
        switched = await turning
    # It steps back after a twentieth of a second; the rest is for machines that are busy.
    assert (looks, slowest < 2) == (3, True), slowest
    assert (switched.generation, one(conninfo, _LIVE)) == (2, 2)
    assert switched.milliseconds < 1000


async def test_a_switch_that_is_never_let_in_says_so_and_leaves_all_as_it_was(
    two_generations: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "STEPS_BACK", 2)
    async with await psycopg.AsyncConnection.connect(two_generations.conninfo) as long:
        await long.execute("SELECT count(*) FROM users_v1")
        with pytest.raises(SwitchBlocked, match="usersd projections switch users when it has ended"):
            await turned(two_generations, newer=True)
    assert one(two_generations.conninfo, _LIVE) == 1
    assert (await turned(two_generations, newer=True)).generation == 2


async def test_there_and_back_while_writes_go_on_shows_every_write(two_generations: Writer) -> None:
    writer = two_generations
    async with projecting(writer, Users()):
        for newer in (True, False, True):
            await writer.register(5)
            switched = await turned(writer, newer=newer)
            count = one(writer.conninfo, "SELECT count(*) FROM users_v1")
            assert count == one(writer.conninfo, "SELECT count(*) FROM events")
            assert switched.position == count
