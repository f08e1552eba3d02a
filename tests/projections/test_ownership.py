"""Each read model has one owner at a time; who lost it writes nothing, and somebody else goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from domain.user import User
from projections.folding import Gone
from projections.lease import Fenced, acquire
from projections.proof import verify
from projections.rebuild import rebuild
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


_OWNERS = "SELECT generation, owner FROM projections WHERE name = 'users' ORDER BY generation"


async def test_a_stand_by_takes_over_the_generation_that_is_kept_too(writer: Writer) -> None:
    await writer.register(3)
    await rebuild(Users(), writer.reader, writer.conninfo)
    owner = lonely_projector(writer)
    try:
        await everywhere_caught_up(writer)
        dead = {name for _, name in rows(writer.conninfo, _OWNERS)}
        async with projecting(writer, Users()):
            owner.kill()
            await writer.register()
            await everywhere_caught_up(writer, within=5)
            living = {name for _, name in rows(writer.conninfo, _OWNERS)}
            assert not dead & living
            assert len(living) == 1
    finally:
        owner.kill()
        owner.wait()


async def test_an_owner_that_was_stopped_and_wakes_up_writes_nothing_to_any_generation(
    writer: Writer,
) -> None:
    users = await writer.register(3)
    await rebuild(Users(), writer.reader, writer.conninfo)
    owner = lonely_projector(writer)
    try:
        await everywhere_caught_up(writer)
        owner.send_signal(signal.SIGSTOP)
        async with projecting(writer, Users()):
            for user in users:
                await writer.rename(user)
            await everywhere_caught_up(writer, within=10)
            tokens = rows(writer.conninfo, "SELECT fencing, owner FROM projections ORDER BY generation")
            owner.send_signal(signal.SIGCONT)
            for _ in range(10):
                await writer.rename(users[0])
                await everywhere_caught_up(writer)
            after = rows(writer.conninfo, "SELECT fencing, owner FROM projections ORDER BY generation")
            assert after == tokens
    finally:
        owner.kill()
        owner.wait()
    for number in (1, 2):
        assert (await verify(writer.conninfo, writer.reader, Users(), number)).holds


async def everywhere_caught_up(writer: Writer, within: float = 15) -> None:
    """Until the generation that is kept has reached the end of the log, and so has the live one."""

    async def there() -> bool:
        query = (
            "SELECT min(position) = (SELECT max(position) FROM events) FROM projections WHERE name = 'users'"
        )
        return one(writer.conninfo, query) is True

    await eventually(there, within)


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


async def test_an_owner_that_stands_still_in_the_middle_of_a_page_is_put_out(database: str) -> None:
    """Its transaction is open and holds the lease's row, which a stand-by would wait for without end."""
    frozen = asyncio.Event()

    class Frozen(Users):
        async def write(
            self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[User | Gone]
        ) -> None:
            await super().write(connection, table, changes)
            frozen.set()
            await asyncio.Event().wait()

        def statement(self, table: str, changes: Sequence[User | Gone]) -> None:
            """In one statement nobody can stand still."""

    async with Writer(database) as writer, projecting(writer, Frozen()):
        await writer.register(3)
        await frozen.wait()
        since = time.monotonic()
        async with projecting(writer, Users()):
            await caught_up(database, name="users")
            assert time.monotonic() - since < 5
            assert one(database, "SELECT count(*) FROM users_v1") == 3


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
            at = one(writer.conninfo, "SELECT last_error_position FROM projections WHERE name = 'users'")
            assert at == 1
    # The faulty one was stopped while it paused, and nobody else need wait for its lease here.
    rows(writer.conninfo, "UPDATE projections SET lease_until = now() - interval '1 s' RETURNING 1")
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert one(writer.conninfo, "SELECT last_error FROM projections WHERE name = 'users'") is None
