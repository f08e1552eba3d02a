"""The status names whatever is wrong, in the words that lead to its cure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from infrastructure.nats import position as relays
from infrastructure.nats.position import excuse
from infrastructure.postgres import reactors
from projections import proof
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from projections.users.projector import Users
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, projecting, rows
from tests.projections.vandal import Vandal
from tests.support.program import Ended
from tests.support.writer import Writer

HELD = "held at position 2 (users.moved.v1): unknown_event"


async def status(conninfo: str, *options: str) -> Ended:
    return await asyncio.to_thread(usersd, conninfo, "projections", "status", *options)


async def test_a_relay_and_a_mailer_that_are_held_are_named_as_long_as_something_waits(database: str) -> None:
    async with (
        Writer(database) as writer,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):
        await writer.register(3)
        async with projecting(writer):
            await caught_up(database)
        await relays.enlist(connection, "users")
        lease = await relays.acquire(connection, "users", "somebody")
        assert lease is not None
        await relays.advance(connection, "users", lease, 1, 1)
        await relays.note(connection, "users", lease, HELD)
        mailing = await reactors.acquire(connection, "mails", "somebody", 5)
        assert mailing is not None
        await reactors.note(connection, mailing, HELD)
        shown = await status(database, "--json")
        assert shown.code == 1, shown
        held = {row["name"]: row for row in shown.rows if row["kind"] == "relay"}
        assert held.keys() == {"users", "mails"}
        assert (held["users"]["task"], held["mails"]["task"]) == ("publishing", "reacting")
        assert {name: held["users"][name] for name in ("position", "lag_events", "last_error")} == {
            "position": 1, "lag_events": 2, "last_error": HELD,
        }  # fmt: skip
        told = (await status(database)).out
        assert f"relay users: {HELD}; 2 events from position 2 on wait, and it is tried again" in told
        assert f"reactor mails: {HELD}; " in told
        # A fault that nothing waits behind has been got over, or is in nobody's way.
        await relays.advance(connection, "users", lease, 3, 3)
        await relays.note(connection, "users", lease, "BrokerLost")
        await reactors.advance(connection, mailing, 3)
        assert (await status(database)).code == 0


async def test_a_relay_that_was_switched_off_leaves_no_fault_behind(writer: Writer) -> None:
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
        await relays.enlist(connection, "magistrala")
        lease = await relays.acquire(connection, "magistrala", "somebody")
        assert lease is not None
        await relays.note(connection, "magistrala", lease, HELD)
        left = "SELECT last_error FROM relays WHERE name = 'magistrala'"
        await excuse(connection, "magistrala")
        assert rows(writer.conninfo, left) == [(HELD,)], "somebody publishes it still"
        await relays.release(connection, "magistrala", "somebody")
        await excuse(connection, "magistrala")
        assert rows(writer.conninfo, left) == [(None,)]


async def test_wrong_rows_and_wrong_totals_are_told_apart_and_so_is_what_is_not_live(database: str) -> None:
    async with Writer(database) as writer:
        users = await writer.register(3)
        async with projecting(writer):
            await caught_up(database)
        counted: Sequence[ReadModel] = (Signups(), Users())
        for model in counted:
            await rebuild(model, writer.reader, database)
        Vandal(writer, Users(), 1).change(users[0], "email")
        Vandal(writer, Signups(), 1).change(users[0], "day")
        for generation in (1, 2):
            rows(database, f"UPDATE signups_v1_g{generation}_totals SET users = users + 1 RETURNING 1")
            for model in counted:
                await proof.verify(database, writer.reader, model, generation)
        shown = await status(database)
        assert shown.code == 1, shown
        verify, drop = "usersd projections verify", "usersd projections drop-old"
        kept = "shows what differs; nothing is answered from it, and"
        for line in (
            f"signups v1 g1: rows of 1 user and the totals are not what the log says: {verify} signups "
            f"--generation 1 {kept} {drop} signups does away with it",
            f"signups v1 g2: the totals are not what the log says: {verify} signups shows what differs",
            f"users v1 g1: rows of 1 user are not what the log says: {verify} users --generation 1 {kept} "
            f"{drop} users does away with it",
        ):
            assert line in " ".join(shown.out.split()), shown.out
        await rebuild(Signups(), writer.reader, database)
        for name in ("signups", "users"):
            dropped = await asyncio.to_thread(usersd, database, "projections", "drop-old", name)
            assert dropped.code == 0, dropped
        assert (await status(database)).code == 0
