"""Group commit: batches, neighbours, callers who go away, closing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from msgspec.structs import replace

from domain.errors import Overloaded
from infrastructure.event_store import appender as module
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.prepared import Outcome, Prepared
from tests.event_store.locking import LockedLog
from tests.event_store.writing import Writer


async def _all(appender: Appender, commands: Sequence[Prepared]) -> list[Outcome | BaseException]:
    return await asyncio.gather(*map(appender.append, commands), return_exceptions=True)


def _count(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
        assert row is not None
        return int(row[0])


async def test_commands_that_arrive_together_share_few_batches_and_keep_their_order(
    database: str, writer: Writer
) -> None:
    async with Appender(database) as appender:
        outcomes = await _all(appender, [writer.register(f"u{number}") for number in range(300)])
        assert outcomes == [Outcome("stored", None, number) for number in range(1, 301)]
        assert appender.appended == 300
        assert appender.batches <= 4


async def test_each_caller_gets_the_outcome_of_its_own_command(database: str, writer: Writer) -> None:
    ada, thief, bob = writer.register("ada"), writer.register("ada"), writer.register("bob")
    async with Appender(database) as appender:
        outcomes = await _all(appender, [ada, thief, bob, ada])
    assert outcomes == [
        Outcome("stored", None, 1),
        Outcome("taken", "email", None),
        Outcome("stored", None, 2),
        Outcome("known", None, 1),
    ]


@pytest.mark.parametrize("poison", ["users.\x00", "users.\ud800"], ids=["NUL", "lone surrogate"])
async def test_a_command_that_the_driver_cannot_send_does_not_hurt_its_neighbours(
    database: str, writer: Writer, poison: str
) -> None:
    commands = [writer.register(f"u{number}") for number in range(20)]
    commands[7] = replace(commands[7], events=[_renamed(commands[7], poison)])
    async with Appender(database) as appender:
        outcomes = await _all(appender, commands)
        assert isinstance(outcomes.pop(7), (psycopg.DataError, UnicodeEncodeError))
        assert {outcome.outcome for outcome in outcomes if isinstance(outcome, Outcome)} == {"stored"}
        assert (await appender.append(writer.register("later"))).outcome == "stored"
    assert _count(database) == 20


def _renamed(command: Prepared, name: str) -> StoredEvent:
    event = command.events[0]
    return StoredEvent(event.originator_id, event.originator_version, name, event.state)


async def test_a_command_that_the_database_cannot_take_does_not_hurt_its_neighbours(
    database: str, writer: Writer
) -> None:
    commands = [writer.register(f"u{number}") for number in range(20)]
    broken = writer.tag(commands[3].stream_id)
    broken = replace(broken, new_key=commands[3].new_key)
    async with Appender(database) as appender:
        outcomes = await _all(appender, [*commands, broken])
    assert isinstance(outcomes.pop(), psycopg.errors.UniqueViolation)
    assert {outcome.outcome for outcome in outcomes if isinstance(outcome, Outcome)} == {"stored"}
    assert _count(database) == 20


async def test_a_caller_who_goes_away_before_its_command_is_sent_has_nothing_stored(
    database: str, writer: Writer
) -> None:
    async with Appender(database) as appender, LockedLog(database) as lock:
        stuck = asyncio.create_task(appender.append(writer.register("stuck")))
        await lock.somebody_waits()
        gone = asyncio.create_task(appender.append(writer.register("gone")))
        stays = asyncio.create_task(appender.append(writer.register("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        await lock.release()
        assert [(await stuck).position, (await stays).position] == [1, 2]
        assert gone.cancelled()
    assert _count(database) == 2


async def test_a_caller_who_goes_away_during_the_flush_hurts_nobody(database: str, writer: Writer) -> None:
    async with Appender(database) as appender, LockedLog(database) as lock:
        calls = [asyncio.create_task(appender.append(writer.register(f"u{number}"))) for number in range(3)]
        await lock.somebody_waits()
        calls[1].cancel()
        await lock.release()
        await asyncio.wait(calls)
        assert [calls[0].result().outcome, calls[2].result().outcome] == ["stored", "stored"]
        assert (await appender.append(writer.register("later"))).outcome == "stored"


async def test_closing_stores_what_waits_and_takes_nothing_more(database: str, writer: Writer) -> None:
    async with Appender(database) as appender:
        calls = [asyncio.create_task(appender.append(writer.register(f"u{number}"))) for number in range(600)]
        await asyncio.sleep(0)
    assert {call.result().outcome for call in calls} == {"stored"}
    assert _count(database) == 600
    with pytest.raises(Overloaded):
        await appender.append(writer.register("late"))


async def test_more_than_may_wait_are_turned_away_at_once(
    database: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 5)
    async with Appender(database) as appender:
        outcomes = await _all(appender, [writer.register(f"u{number}") for number in range(8)])
    assert [type(outcome) for outcome in outcomes] == [Outcome] * 5 + [Overloaded] * 3
