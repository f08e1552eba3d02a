"""The log as it lies in PostgreSQL: gap-free, chained, final, without secrets."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from uuid import UUID

import msgspec
import psycopg
import pytest

from domain import events
from domain.values import Role
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.prepared import Outcome
from tests.event_store.locking import LockedLog
from tests.event_store.recorders import recorder_on
from tests.event_store.writing import HASH, Writer
from tests.event_store.writing_process import CHANGES, TASKS
from tests.support.memory import NOON

CHAIN = "SELECT stream_id, version, name, state, prev_hash, hash FROM events ORDER BY position"


def _verify_chain(connection: psycopg.Connection) -> int:
    """SHA-256 over the hash before, stream, version, name, a zero byte and state; how many were checked."""
    last: dict[UUID, bytes] = {}
    checked = 0
    for stream, version, name, state, before, link in connection.execute(CHAIN):
        assert before == last.get(stream)
        told = (before or b"") + stream.bytes + version.to_bytes(8) + name.encode() + b"\x00" + state
        assert hashlib.sha256(told).digest() == link
        last[stream] = link
        checked += 1
    return checked


def test_every_event_is_chained_to_the_one_before_it(any_database: str, writer: Writer) -> None:
    ada = writer.register("ada", more=(events.TagsChanged(at=NOON, tags=["x"]),))
    bob = writer.register("bob")
    with recorder_on(any_database) as recorder, psycopg.connect(any_database) as connection:
        recorder.append(
            [ada, bob, writer.tag(bob.stream_id), writer.register("ada"), writer.tag(ada.stream_id)]
        )
        recorder.append([writer.tag(ada.stream_id), ada])
        assert _verify_chain(connection) == 6


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET state = state",
        "UPDATE events SET position = position + 1 WHERE position = 1",
        "DELETE FROM events WHERE position = 1",
        "TRUNCATE events",
    ],
)
def test_the_log_is_append_only(any_database: str, writer: Writer, statement: str) -> None:
    with recorder_on(any_database) as recorder:
        recorder.append([writer.register("ada")])
    with psycopg.connect(any_database) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement.encode())


def test_neither_events_nor_names_hold_a_secret_or_a_name(database: str, writer: Writer) -> None:
    ada = writer.register("countess-of-lovelace")
    with recorder_on(database) as recorder, psycopg.connect(database) as connection:
        recorder.append([ada, writer.change(ada.stream_id, events.SecretChanged(at=NOON))])
        connection.execute("SET bytea_output = 'escape'")
        held = connection.execute(
            "SELECT e::text FROM events e UNION ALL SELECT n::text FROM names n"
        ).fetchall()
        assert len(held) == 4
        for (row,) in held:
            assert HASH not in row
            assert "lovelace" not in row.lower()
        stored = connection.execute("SELECT secret_hash FROM credentials").fetchone()
        assert stored == (HASH,)


def test_an_append_notifies_the_position_it_reached_and_a_refusal_does_not(
    database: str, writer: Writer
) -> None:
    with recorder_on(database) as recorder, psycopg.connect(database, autocommit=True) as listening:
        listening.execute("LISTEN usersd_events")
        recorder.append([writer.register("ada"), writer.register("bob")])
        recorder.append([writer.register("ada")])
        recorder.append([writer.register("eve")])
        notices = [notice.payload for notice in listening.notifies(timeout=10, stop_after=2)]
        assert notices == ["2", "3"]


def test_the_first_admin_stays_remembered_when_there_is_none_any_more(database: str, writer: Writer) -> None:
    one, other = writer.register("one", Role.ADMIN), writer.register("other", Role.ADMIN)
    late = writer.register("late", Role.ADMIN, first_admin=True)
    with recorder_on(database) as recorder:
        outcomes = recorder.append([one, other, writer.demote(one.stream_id), late])
    assert outcomes[-1] == Outcome("taken", "first_admin")


async def test_two_processes_write_one_log_without_a_gap(database: str) -> None:
    processes = [await _ready_process(database, prefix) for prefix in "ab"]
    printed = await asyncio.gather(*(process.communicate(b"begin\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0]
    outcomes = [item for told, _ in printed for item in msgspec.json.decode(told, type=list[Outcome])]
    stored = [outcome.position for outcome in outcomes if outcome.outcome == "stored"]
    expected = 2 * TASKS * (1 + CHANGES) + 1
    assert Counter(outcome.outcome for outcome in outcomes) == {
        "stored": expected,
        "conflict": 2 * TASKS * CHANGES,
        "taken": 2 * TASKS * CHANGES - 1,
    }
    assert sorted(position for position in stored if position) == list(range(3, expected + 3))
    with psycopg.connect(database) as connection:
        positions = connection.execute("SELECT position FROM events ORDER BY position").fetchall()
        assert [row[0] for row in positions] == list(range(1, expected + 3))
        assert _verify_chain(connection) == expected + 2


async def _ready_process(conninfo: str, prefix: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.event_store.writing_process", conninfo, prefix),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def test_two_admins_who_demote_each_other_on_two_replicas_do_not_both_succeed(
    any_database: str, writer: Writer
) -> None:
    one, other = writer.register("one", Role.ADMIN), writer.register("other", Role.ADMIN)
    async with Appender(any_database) as here, Appender(any_database) as there:
        for command in (one, other):
            assert (await here.append(command)).outcome == "stored"
        async with LockedLog(any_database) as lock:
            racing = asyncio.gather(
                here.append(writer.demote(one.stream_id)), there.append(writer.demote(other.stream_id))
            )
            await lock.somebody_waits(2)
            await lock.release()
            assert sorted(outcome.outcome for outcome in await racing) == ["last_admin", "stored"]


async def test_two_replicas_that_register_one_name_at_the_same_moment_do_not_both_succeed(
    any_database: str, writer: Writer
) -> None:
    async with (
        Appender(any_database) as here,
        Appender(any_database) as there,
        LockedLog(any_database) as lock,
    ):
        racing = asyncio.gather(here.append(writer.register("ada")), there.append(writer.register("ADA")))
        await lock.somebody_waits(2)
        await lock.release()
        assert sorted(outcome.outcome for outcome in await racing) == ["stored", "taken"]
