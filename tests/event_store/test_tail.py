"""Who follows the log in one process shares what is read at its end: no gap, nothing twice, nobody's past."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.ports import Recorded, Unreadable
from domain import events
from infrastructure.event_store import tail as module
from infrastructure.event_store.tail import KEPT, LOOKS_EVERY, Tail
from infrastructure.postgres.notifications import Signal
from tests.event_store.shared_end import KEYS, NOBODY, USERS, Log, Looking, Reader, log_of
from tests.support.memory import NOON
from tests.support.writer import AT, Writer

_steps = st.one_of(
    st.tuples(st.just("append"), st.sampled_from(USERS), st.integers(1, 4)),
    st.tuples(st.just("notify"), st.just(None), st.just(0)),
    st.tuples(st.just("reconnect"), st.just(None), st.just(0)),
    st.tuples(st.just("erase"), st.sampled_from(USERS), st.just(0)),
    st.tuples(st.just("wait"), st.just(None), st.sampled_from([1, 5, 9, 13])),
    st.tuples(st.just("read"), st.integers(0, 3), st.sampled_from([1, 2, 3, 1000])),
    st.tuples(st.just("together"), st.just(None), st.sampled_from([1, 3, 1000])),
)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(st.lists(_steps, max_size=40))
def test_everybody_is_given_the_whole_log_in_order_whatever_is_notified_or_lost(
    steps: list[tuple[str, Any, int]],
) -> None:
    async def run() -> None:
        log, appended = Log(), Signal()
        tail = Looking(log, appended)
        readers = [Reader(tail) for _ in range(4)]
        for step, whom, number in steps:
            if step == "append":
                for _ in range(number):
                    log.rename(whom)
            elif step == "notify" and log.rows:
                appended.fire(str(len(log.rows)))
            elif step == "reconnect":
                appended.fire()
            elif step == "erase":
                log.erase(whom)
            elif step == "wait":
                log.time += number / 10
            elif step == "read":
                await readers[whom].read(number)
            elif step == "together":
                await asyncio.gather(*(reader.read(number) for reader in readers))
        # Nothing more is notified: as if every wake-up had been lost.
        log.time += LOOKS_EVERY
        for reader in readers:
            while await reader.read():
                pass
            assert reader.position == len(log.rows)
            assert not any(isinstance(event, Unreadable) for event in reader.given)

    asyncio.run(run())


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(st.lists(st.sampled_from(["rename", "read", "late"]), max_size=10), st.booleans())
def test_nobody_is_given_what_was_personal_once_the_request_to_forget_it_was_read(
    before: list[str], notified: bool
) -> None:
    async def run() -> None:
        log, appended = log_of(USERS[0]), Signal()
        tail = Looking(log, appended)
        first, late = Reader(tail), Reader(tail)
        for step in before:
            if step == "rename":
                log.rename(USERS[0])
            else:
                await (first if step == "read" else late).read(1 if step == "late" else 1000)
        log.erase(USERS[0])
        if notified:
            appended.fire(str(len(log.rows)))
        log.time += LOOKS_EVERY
        while await first.read():
            pass
        for reader in (late, Reader(tail)):
            given = len(reader.given)
            while await reader.read(2):
                pass
            assert "PERSONAL" not in repr(reader.given[given:])

    asyncio.run(run())


async def test_what_was_opened_is_handed_out_for_a_second_and_no_longer() -> None:
    log = log_of(*USERS)
    tail = Looking(log, Signal())
    await Reader(tail).read()
    log.destroyed[USERS[0]] = NOON
    assert "PERSONAL" in repr(await tail.read(NOBODY, 0, 1))
    log.time += KEPT + 0.01
    assert "PERSONAL" not in repr(await tail.read(NOBODY, 0, 1))


async def test_one_look_answers_everybody_who_asks_for_the_same() -> None:
    log, appended = log_of(*USERS), Signal()
    tail = Looking(log, appended)
    readers = [Reader(tail) for _ in range(5)]
    await asyncio.gather(*(reader.read() for reader in readers))
    assert tail.looks == [0]
    assert all(reader.given == readers[0].given for reader in readers)
    # At rest one looks for all.
    for _ in range(3):
        await asyncio.gather(*(reader.read() for reader in readers))
    assert tail.looks == [0]
    log.time += LOOKS_EVERY
    await asyncio.gather(*(reader.read() for reader in readers))
    assert tail.looks == [0, 3]
    log.rename(USERS[0])
    appended.fire("4")
    await asyncio.gather(*(reader.read() for reader in readers))
    assert tail.looks == [0, 3, 3]
    assert {reader.position for reader in readers} == {4}


async def test_whoever_is_far_behind_reads_alone_and_keeps_nobody_waiting() -> None:
    log = log_of(*USERS * 5)
    tail = Looking(log, Signal())
    leader = Reader(tail, begins=12)
    await leader.read()
    behind = Reader(tail)
    tail._turn = asyncio.Lock()
    await tail._turn.acquire()
    while behind.position < 12:
        await behind.read(4)
    assert tail.looks == [12, 0, 4, 8]


async def test_a_look_that_is_stuck_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    log = log_of(*USERS)
    tail = Looking(log, Signal())
    tail.stuck = True
    stuck = asyncio.create_task(Reader(tail).read())
    await asyncio.sleep(0)
    other = Reader(tail)
    async with asyncio.timeout(5):
        assert len(await other.read()) == 3
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    assert not tail._turn.locked()


async def test_a_look_that_is_stuck_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    log = log_of(*USERS)
    tail = Looking(log, Signal())
    async with tail._turn:
        await Reader(tail).read()
        monkeypatch.setattr(module, "PATIENCE", 600.0)
        async with asyncio.timeout(5):
            assert len(await Reader(tail).read()) == 3


async def test_what_was_opened_is_let_go_of_where_nobody_asks_any_more() -> None:
    log = log_of(*USERS)
    tail = Looking(log, Signal())
    await Reader(tail).read()
    assert tail._opened
    assert tail._tidying
    log.time += KEPT + 0.01
    tail._tidying.cancel()
    tail._tidy()
    assert not tail._opened
    assert tail._tidying is None


async def test_a_look_that_a_new_connection_came_in_between_is_not_kept() -> None:
    """It may have been at another server, whose log went further or elsewhere."""
    log, appended = log_of(*USERS), Signal()
    tail = Looking(log, appended)
    looking = asyncio.create_task(Reader(tail).read())
    await asyncio.sleep(0)
    assert tail.looks == [0]
    appended.fire()
    assert len(await looking) == 3
    assert not tail._opened
    assert tail._end == 0


async def test_words_that_are_notified_instead_of_a_position_are_taken_for_something_missed() -> None:
    log, appended = log_of(*USERS), Signal()
    tail = Looking(log, appended)
    await Reader(tail).read()
    waiting = asyncio.create_task(tail.signal.wait(60))
    await asyncio.sleep(0)
    appended.fire("whatever")
    assert await waiting
    assert not tail._opened


async def test_events_whose_notification_was_lost_wake_everybody_when_one_finds_them() -> None:
    log = log_of(*USERS)
    tail = Looking(log, Signal())
    reader = Reader(tail)
    waiting = asyncio.create_task(tail.signal.wait(5))
    await asyncio.sleep(0)
    await reader.read()
    assert await waiting


async def test_what_cannot_be_opened_is_read_anew_each_time() -> None:
    log = log_of(*USERS)
    tail, whole = Looking(log, Signal()), log.keys[USERS[0]]
    log.keys[USERS[0]] = KEYS.new_user_key(USERS[1])
    assert isinstance((await tail.read(NOBODY, 0, 10))[0], Unreadable)
    log.keys[USERS[0]] = whole
    assert not any(isinstance(event, Unreadable) for event in await tail.read(NOBODY, 0, 10))


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 5)
    log, appended = Log(), Signal()
    tail = Looking(log, appended)
    reader = Reader(tail)
    for number in range(1, 20):
        log.rename(USERS[number % 3])
        appended.fire(str(number))
        await reader.read()
        assert sum(len(opened.events) for opened in tail._opened) <= 5
    monkeypatch.setattr(module, "MAX_BYTES", 0)
    log.rename(USERS[0])
    appended.fire("20")
    await reader.read()
    assert not tail._opened


async def test_an_erasure_in_the_real_log_is_not_outlived_by_what_was_opened(database: str) -> None:
    async with (
        Writer(database) as writer,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):
        appended = Signal()
        tail = Tail(writer.keys.mapper, writer.keys.keyring, appended)
        (ada,) = await writer.register(first_name="PERSONAL")
        assert "PERSONAL" in repr(await tail.read(connection, 0, 10))
        position = await writer.append(ada, events.ErasureRequested(at=AT))
        appended.fire(str(position))
        (request,) = await tail.read(connection, 1, 10)
        assert request.name == events.ErasureRequested.stored_name
        whole = await tail.read(connection, 0, 10)
        assert [event.position for event in whole] == [1, 2]
        assert "PERSONAL" not in repr(whole)
        assert all(isinstance(event, Recorded) and event.forgotten for event in whole)
