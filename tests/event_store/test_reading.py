"""Histories that can and cannot be read: forgotten users, missing keys, changed events, newer versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from application.ports import Recorded, Unreadable
from domain.errors import HistoryUnreadable, UnknownEvent
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import EventReader, PostgresEventLog, stream_reads
from tests.event_store.writing import Writer

SEALED = """convert_to(regexp_replace(convert_from(state, 'UTF8'), '"sealed":"', '"sealed":"AAAA'), 'UTF8')"""
SHORT = """convert_to(
    regexp_replace(convert_from(state, 'UTF8'), '"sealed":"[^"]*"', '"sealed":"AAAA"'), 'UTF8')"""


@asynccontextmanager
async def _stored(conninfo: str, writer: Writer) -> AsyncIterator[tuple[PostgresEventLog, UUID]]:
    """A log that holds one user of two events."""
    ada = writer.register("ada")
    streams = stream_reads(conninfo)
    async with Appender(conninfo) as appender:
        for command in (ada, writer.tag(ada.stream_id)):
            await appender.append(command)
        yield PostgresEventLog(streams, appender, writer.mapper, writer.keys, conninfo), ada.stream_id
        await streams.close()


def _run(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def _page(conninfo: str, writer: Writer) -> list[Recorded | Unreadable]:
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        return await EventReader(writer.mapper, writer.keys).read(connection, 0, 10)


async def test_a_user_is_folded_from_the_log_with_position_and_key(database: str, writer: Writer) -> None:
    async with _stored(database, writer) as (log, ada):
        history = await log.load(ada)
        assert (history.user.version, history.user.email, history.position) == (2, "ada@example.com", 2)
        assert [recorded.position for recorded in await log.timeline(ada)] == [1, 2]
        assert await log.head() == 2
        assert (await log.load(uuid4())).user.version == 0


async def test_with_a_destroyed_key_the_user_is_forgotten_and_the_history_loads(
    database: str, writer: Writer
) -> None:
    async with _stored(database, writer) as (log, ada):
        _run(database, "UPDATE user_keys SET wrapped = NULL, destroyed_at = now()")
        history = await log.load(ada)
        assert (history.user.version, history.user.email, history.key) == (2, "", None)
        assert all(recorded.forgotten for recorded in await log.timeline(ada))
        assert all(isinstance(row, Recorded) and row.forgotten for row in await _page(database, writer))


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM user_keys", "UPDATE user_keys SET wrapped = '\\x00'", "UPDATE user_keys SET epoch = 9"],
)
async def test_a_key_that_is_missing_or_damaged_is_no_forgetting(
    database: str, writer: Writer, damage: str
) -> None:
    async with _stored(database, writer) as (log, ada):
        _run(database, damage)
        with pytest.raises(HistoryUnreadable):
            await log.load(ada)
        page = await _page(database, writer)
        assert [(type(row), row.position) for row in page] == [(Unreadable, 1), (Unreadable, 2)]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SEALED, "SealBroken"),
        (SHORT, "SealBroken"),
        ("'not json'", "DecodeError"),
        ("'\\xff'", "DecodeError"),
        ("'{}'", "ValidationError"),
    ],
)
async def test_an_event_that_was_changed_is_unreadable_and_never_left_out(
    database: str, writer: Writer, state: str, reason: str
) -> None:
    async with _stored(database, writer) as (log, ada):
        _run(
            database,
            "ALTER TABLE events DISABLE TRIGGER USER",
            f"UPDATE events SET state = {state} WHERE position = 2",
        )
        with pytest.raises(HistoryUnreadable):
            await log.load(ada)
        first, second = await _page(database, writer)
        assert isinstance(first, Recorded)
        assert isinstance(second, Unreadable)
        assert (second.position, second.user_id, second.version, second.reason) == (2, ada, 2, reason)


async def test_a_user_with_an_event_of_a_newer_version_is_not_guessed_at(
    database: str, writer: Writer
) -> None:
    async with _stored(database, writer) as (log, ada):
        _run(
            database,
            "ALTER TABLE events DISABLE TRIGGER USER",
            "UPDATE events SET name = 'users.tags_changed.v9' WHERE position = 2",
        )
        with pytest.raises(UnknownEvent):
            await log.load(ada)
        _, second = await _page(database, writer)
        assert isinstance(second, Unreadable)
        assert second.reason == "unknown_event"
