"""Each read model has one owner at a time; who lost it writes nothing, and somebody else goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from projections.lease import Fenced, acquire
from projections.users.projector import Users
from tests.projections.projecting import caught_up, check_read_models, one, projecting, rows
from tests.support.waiting import eventually
from tests.support.writer import Writer

_OWNER = "SELECT owner FROM projections WHERE name = 'users' AND live"
_FENCING = "SELECT fencing FROM projections WHERE name = 'users' AND live"


async def test_of_two_projectors_one_projects_and_the_other_stands_by(writer: Writer) -> None:
    async with projecting(writer, Users(), Users()):
        await writer.register(5)
        await caught_up(writer.conninfo, name="users")
        owner, fencing = one(writer.conninfo, _OWNER), one(writer.conninfo, _FENCING)
        for _ in range(5):
            await writer.register(3)
            await caught_up(writer.conninfo, name="users")
            assert one(writer.conninfo, _OWNER) == owner
        # The token grows with every new owner: nobody has had it in between.
        assert one(writer.conninfo, _FENCING) == fencing == 1


async def test_a_projector_that_is_stopped_hands_over_at_once(writer: Writer) -> None:
    async with projecting(writer, Users()):
        await writer.register()
        await caught_up(writer.conninfo, name="users")
    assert one(writer.conninfo, _OWNER) is None
    async with projecting(writer, Users()):
        await writer.register()
        await caught_up(writer.conninfo, within=2, name="users")


def lonely_projector(writer: Writer) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.projections.lonely_projector", writer.conninfo]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


async def test_a_stand_by_takes_over_when_the_owner_is_killed(writer: Writer) -> None:
    owner = lonely_projector(writer)
    try:
        await writer.register()
        await caught_up(writer.conninfo, name="users")
        first = one(writer.conninfo, _OWNER)
        async with projecting(writer, Users()):
            await writer.register()
            await caught_up(writer.conninfo, name="users")
            assert one(writer.conninfo, _OWNER) == first
            owner.kill()
            killed = time.monotonic()
            await writer.register()
            await caught_up(writer.conninfo, within=5, name="users")
            assert time.monotonic() - killed < 5
            assert one(writer.conninfo, _OWNER) not in (None, first)
    finally:
        owner.kill()
        owner.wait()


async def test_an_owner_whose_connection_is_cut_goes_on_with_a_new_one(writer: Writer) -> None:
    async with projecting(writer):
        await writer.register()
        await caught_up(writer.conninfo)
        for _ in range(3):
            rows(
                writer.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND query ~ 'projections|e.position >'",
            )
            await writer.register(2)
            await caught_up(writer.conninfo)
    assert set(rows(writer.conninfo, "SELECT last_error FROM projections")) == {(None,)}


async def test_an_owner_that_was_believed_dead_writes_nothing(writer: Writer) -> None:
    await writer.register(3)
    async with (
        projecting(writer, Users()) as (living,),
        await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection,
    ):
        await caught_up(writer.conninfo, name="users")
        stale = await acquire(connection, Users(), 1, living.owner)
        assert stale is not None
        # A moment's pause of the whole process: the lease has run out, and somebody else has it.
        rows(writer.conninfo, "UPDATE projections SET lease_until = now() - interval '1 s' RETURNING 1")
        assert await acquire(connection, Users(), 1, "another") is not None
        await writer.register(2)
        before = one(writer.conninfo, "SELECT position FROM projections WHERE name = 'users'")
        with pytest.raises(Fenced):
            await living.follower(1)._step(connection, stale)
        assert one(writer.conninfo, "SELECT count(*) FROM users_v1") == 3
        assert one(writer.conninfo, "SELECT position FROM projections WHERE name = 'users'") == before


async def test_no_event_is_applied_twice_or_left_out_while_the_lease_goes_to_and_fro(writer: Writer) -> None:
    """Leases are torn from their owners again and again in the middle of a load."""
    done = asyncio.Event()

    async def tear() -> None:
        while not done.is_set():
            await asyncio.to_thread(
                rows,
                writer.conninfo,
                "UPDATE projections SET lease_until = now() - interval '1 s', owner = 'nobody',"
                " fencing = fencing + 1 RETURNING 1",
            )
            await asyncio.sleep(0.02)

    async with projecting(writer), projecting(writer):
        tearing = asyncio.create_task(tear())
        for seed in range(4):
            await writer.random_history(seed, users=8, events_each=4)
        done.set()
        await tearing
        await caught_up(writer.conninfo, within=20)
    await check_read_models(writer.conninfo)


async def test_a_fault_of_the_projection_itself_is_recorded_and_survived(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr(Users, "load", broken)
        async with projecting(writer, Users()):
            await writer.register()

            async def recorded() -> bool:
                return bool(
                    one(writer.conninfo, "SELECT last_error FROM projections WHERE name = 'users'")
                    == "RuntimeError"
                )

            await eventually(recorded)
    # The faulty one was stopped while it paused, and nobody else need wait for its lease here.
    rows(writer.conninfo, "UPDATE projections SET lease_until = now() - interval '1 s' RETURNING 1")
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert one(writer.conninfo, "SELECT last_error FROM projections WHERE name = 'users'") is None
