"""The appender through lost answers, killed connections, a database that is away, stuck or read-only."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from domain.errors import OutcomeUnknown, Unavailable
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.prepared import Outcome, Prepared
from tests.event_store.locking import LockedLog
from tests.event_store.proxy import Mode, Proxy
from tests.event_store.writing import Writer
from tests.support.waiting import eventually

OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def _rows(conninfo: str) -> Counter[object]:
    with psycopg.connect(conninfo) as connection:
        return Counter(row[0] for row in connection.execute("SELECT stream_id FROM events"))


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


async def _prepared(appender: Appender, writer: Writer, user: Prepared) -> None:
    # The statement is prepared with the first command of a shape: from then on one answer is one append.
    for command in (user, writer.tag(user.stream_id)):
        assert (await appender.append(command)).outcome == "stored"


async def test_a_lost_answer_is_asked_for_again_and_the_command_known(database: str, writer: Writer) -> None:
    ada = writer.register("ada")
    async with Proxy(database) as proxy, Appender(proxy.conninfo) as appender:
        await _prepared(appender, writer, ada)
        proxy.mode = "lose the next answer"
        change = asyncio.create_task(appender.append(writer.tag(ada.stream_id)))
        await proxy.cut.wait()
        assert _rows(database)[ada.stream_id] == 3
        proxy.mode = "pass"
        assert await change == Outcome("known", None, 3)
    assert _rows(database) == {ada.stream_id: 3}


async def test_an_answer_that_stays_lost_leaves_the_outcome_unknown(database: str, writer: Writer) -> None:
    ada = writer.register("ada")
    async with Proxy(database) as proxy, Appender(proxy.conninfo, patience=0.5) as appender:
        await _prepared(appender, writer, ada)
        proxy.mode = "lose the next answer"
        with _at_most(2), pytest.raises(OutcomeUnknown):
            await appender.append(writer.tag(ada.stream_id))
        with _at_most(2), pytest.raises(Unavailable) as refused:
            await appender.append(writer.register("bob"))
        assert type(refused.value) is Unavailable
        proxy.mode = "pass"
        assert (await appender.append(writer.tag(ada.stream_id))).outcome == "stored"
    assert _rows(database) == {ada.stream_id: 4}


@pytest.mark.parametrize("mode", ["refuse", "swallow"])
async def test_without_a_database_the_answer_is_unavailable_within_the_patience(
    database: str, writer: Writer, mode: Mode
) -> None:
    async with Proxy(database) as proxy, Appender(proxy.conninfo, patience=0.5) as appender:
        proxy.mode = mode
        with _at_most(2):
            calls = [appender.append(writer.register(f"u{number}")) for number in range(5)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert not _rows(database)


async def test_an_appender_whose_task_dies_says_so_and_lets_nobody_wait(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    # What the driver cannot even read as the address of a database is no outage that could pass.
    async with Appender("no address at all", patience=60) as appender:
        with _at_most(10):
            waiting = [appender.append(writer.register(f"u{number}")) for number in range(300)]
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(answer) for answer in answers} == {Unavailable}
            with pytest.raises(Unavailable):
                await appender.append(writer.register("late"))
        assert appender.waiting == 0
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert "has died of ProgrammingError" in record.getMessage()


async def test_what_was_on_its_way_when_the_task_died_is_answered_as_unknown(
    database: str, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Appender(database, patience=60) as appender, LockedLog(database) as lock:
        with _at_most(10):
            flushing = asyncio.create_task(appender.append(writer.register("flushing")))
            await lock.somebody_waits()
            (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "appender"]
            task.cancel()
            await asyncio.wait([flushing])
        assert isinstance(flushing.exception(), OutcomeUnknown)
        with pytest.raises(Unavailable):
            await appender.append(writer.register("late"))
    assert "has died of a cancellation" in caplog.text


async def test_closing_does_not_wait_for_ever_for_a_database_that_is_away(
    database: str, writer: Writer
) -> None:
    async with Proxy(database) as proxy:
        proxy.mode = "swallow"
        with _at_most(5):
            async with Appender(proxy.conninfo, patience=0.5) as appender:
                gone = asyncio.create_task(appender.append(writer.register("gone")))
                waits = asyncio.create_task(appender.append(writer.register("waits")))
                await asyncio.sleep(0)
                gone.cancel()
        assert isinstance(waits.exception(), Unavailable)


async def test_a_stuck_flush_is_answered_within_the_patience_and_told_apart(
    database: str, writer: Writer
) -> None:
    async with Appender(database, patience=0.5) as appender, LockedLog(database) as lock:
        with _at_most(2):
            flushing = asyncio.create_task(appender.append(writer.register("flushing")))
            await lock.somebody_waits()
            waiting = asyncio.create_task(appender.append(writer.register("waiting")))
            await asyncio.wait([flushing, waiting])
        assert isinstance(flushing.exception(), OutcomeUnknown)
        assert type(waiting.exception()) is Unavailable
        await lock.release()
        assert (await appender.append(writer.register("later"))).position == 2


async def test_a_server_that_turned_read_only_is_left_and_looked_for_again(
    database: str, writer: Writer
) -> None:
    async with Appender(database) as appender:
        await appender.append(writer.register("ada"))
        connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
        async with connection:
            await connection.execute(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
                " current_database()); END $$"
            )
            await connection.execute(OTHERS.encode())
            call = asyncio.create_task(appender.append(writer.register("bob")))
            await eventually(lambda: _connected_again(connection))
            await connection.execute(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only',"
                " current_database()); END $$"
            )
        assert (await call).position == 2


async def _connected_again(connection: psycopg.AsyncConnection) -> object:
    query = """SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
               AND pid <> pg_backend_pid() AND query LIKE '%append_events%'"""
    return await (await connection.execute(query)).fetchone()


async def test_connections_killed_at_random_moments_turn_no_stored_command_into_a_refusal(
    database: str, writer: Writer
) -> None:
    moments = random.Random(20260301)
    outcomes: list[str] = []
    progress = asyncio.Event()

    async def live(name: str) -> None:
        user = writer.register(name)
        outcomes.append((await appender.append(user)).outcome)
        for number in range(20):
            change = writer.email(user.stream_id, f"{name}-{number}")
            outcomes.append((await appender.append(change)).outcome)
            progress.set()

    async def kill(until: asyncio.Task[object]) -> int:
        killed = 0
        connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
        async with connection:
            while not until.done():
                # Kills that outrun every reconnect would only try the patience, which has its own tests.
                progress.clear()
                stored = asyncio.create_task(progress.wait())
                await asyncio.wait([stored, until], return_when=asyncio.FIRST_COMPLETED)
                stored.cancel()
                await asyncio.sleep(moments.uniform(0.0, 0.03))
                row = await (await connection.execute(OTHERS.encode())).fetchone()
                assert row is not None
                killed += row[0]
        return killed

    async def everyone() -> None:
        await asyncio.gather(*(live(f"u{number}") for number in range(40)))

    async with Appender(database, patience=30) as appender:
        living = asyncio.create_task(everyone())
        killed = await kill(living)
        await living
    assert killed > 3
    assert set(outcomes) <= {"stored", "known"}
    assert len(outcomes) == 40 * 21
    assert set(_rows(database).values()) == {21}
    assert len(_rows(database)) == 40
