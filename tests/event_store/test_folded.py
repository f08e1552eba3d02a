"""A user with a long history is folded from where the last command left off, and is never another for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from application.ports import History
from domain import events
from domain.user import User
from domain.values import Status
from infrastructure.event_store import epochs
from infrastructure.event_store import folded as module
from infrastructure.event_store.folded import KEPT, LONG, MAX_BYTES, Folded, FoldedUsers
from infrastructure.event_store.log import PostgresEventLog, Row, stream_reads
from tests.support.memory import keyring
from tests.support.writer import AT, Writer


class Watched(PostgresEventLog):
    """The log as another process knows it, and how many rows each of its reads has brought."""

    read: list[int]

    async def whole(self, user_id: UUID) -> History:
        """The user as one who has just started sees them."""
        self._folded = FoldedUsers()
        return await self.load(user_id)


@asynccontextmanager
async def another(writer: Writer) -> AsyncIterator[Watched]:
    streams = stream_reads(writer.conninfo)
    log = Watched(
        streams, writer.log._appender, writer.keys.mapper, writer.keys.keyring, writer.conninfo
    )  # fmt: skip
    log.read = []
    get = streams.get

    async def counting(key: tuple[UUID, int]) -> list[Row] | None:
        rows = await get(key)
        log.read.append(len(rows or []))
        return rows

    streams.get = counting  # type: ignore[method-assign]
    yield log
    await streams.close()


@pytest.fixture
async def ready(database: str) -> AsyncIterator[Writer]:
    async with Writer(database) as made:
        yield made


async def test_a_long_history_is_read_whole_once_and_then_from_where_it_was_left(ready: Writer) -> None:
    (ada,) = await ready.register()
    await ready.rename(ada, times=LONG)
    async with another(ready) as log:
        assert (await log.load(ada)).user.version == LONG + 1
        await ready.rename(ada, times=2)
        for _ in range(2):
            found = await log.load(ada)
        assert log.read == [LONG + 1, 3, 1]
        assert found.user == (await log.whole(ada)).user
        assert [recorded.version for recorded in await log.timeline(ada)] == list(range(1, LONG + 4))


async def test_a_short_history_is_not_remembered(ready: Writer) -> None:
    (ada,) = await ready.register()
    await ready.rename(ada, times=LONG - 2)
    async with another(ready) as log:
        for _ in range(2):
            await log.load(ada)
        assert log.read == [LONG - 1, LONG - 1]


async def test_whatever_others_do_in_between_a_user_is_what_the_whole_log_says(ready: Writer) -> None:
    chance = random.Random(7)
    known = await ready.register(3)
    async with another(ready) as log, another(ready) as fresh:
        for number in range(150):
            user = chance.choice(known)
            await ready.append(user, ready.any_event(chance, AT, None))
            if chance.random() < 0.5:
                found, whole = await log.load(user), await fresh.whole(user)
                assert (found.user, found.position) == (whole.user, whole.position), number
        assert max(log.read[-20:]) < LONG <= max(log.read)


async def test_a_change_of_another_process_is_seen_before_anything_is_decided(ready: Writer) -> None:
    (ada,) = await ready.register()
    await ready.rename(ada, times=LONG)
    async with another(ready) as log:
        await log.load(ada)
        await ready.append(ada, events.Disabled(at=AT))
        assert (await log.load(ada)).user.status is Status.DISABLED


async def test_who_was_forgotten_elsewhere_is_forgotten_here(ready: Writer) -> None:
    (ada,) = await ready.register(first_name="PERSONAL")
    await ready.append(ada, *[events.TagsChanged(at=AT, tags=[str(number)]) for number in range(LONG)])
    async with another(ready) as log:
        assert (await log.load(ada)).user.first_name == "PERSONAL"
        await ready.append(ada, events.ErasureRequested(at=AT))
        assert ada not in ready.log._folded
        found = await log.load(ada)
        assert (found.user.first_name, found.user.email, found.key) == ("", "", None)
        assert ada not in log._folded


async def test_a_key_that_another_epoch_wraps_is_taken_anew(ready: Writer) -> None:
    (ada,) = await ready.register()
    await ready.rename(ada, times=LONG)
    async with another(ready) as log:
        before = await log.load(ada)
        await asyncio.to_thread(_new_epoch, ready)
        after = await log.load(ada)
        assert (before.key.epoch, after.key.epoch) == (1, 2)
        assert after.user == before.user
        await ready.rename(ada)


def _new_epoch(writer: Writer) -> None:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        epochs.begin(connection, writer.keys.keyring, always=True)
        epochs.change(connection, writer.keys.keyring)


async def test_a_log_that_was_put_back_is_not_taken_for_the_one_that_was_read(ready: Writer) -> None:
    (ada,) = await ready.register()
    await ready.rename(ada, times=LONG)
    async with another(ready) as log:
        before = (await log.load(ada)).user
        with psycopg.connect(ready.conninfo) as connection:
            connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
            connection.execute("DELETE FROM events WHERE position > %s", (LONG,))
        await ready.rename(ada)
        after = await log.load(ada)
        assert after.user.version == before.version
        assert after.user.first_name != before.first_name
        assert after.user == (await log.whole(ada)).user


def folded(version: int = LONG) -> Folded:
    user = User(id=uuid4(), version=version)
    return Folded(user, version, b"{}", keyring().new_user_key(user.id))


async def test_what_is_remembered_is_bounded_in_number_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USERS", 3)
    time = 0.0
    users = FoldedUsers(lambda: time)
    one, *others = [folded() for _ in range(4)]
    users.remember(folded(LONG - 1), 100)
    users.remember(folded(), MAX_BYTES + 1)
    assert len(users) == 0
    for each in (one, *others):
        users.remember(each, 100)
    assert [users.get(each.user.id) for each in (one, *others)] == [None, *others]
    time = KEPT / 2
    users.remember(others[0], 100)
    time = KEPT
    users.tidy()
    assert [users.get(each.user.id) for each in others] == [others[0], None, None]
    time = 2 * KEPT
    users.tidy()
    assert len(users) == 0


async def test_what_is_remembered_of_all_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WEIGHT", 250)
    users = FoldedUsers()
    one, two, three = (folded() for _ in range(3))
    users.remember(one, 100)
    users.remember(two, 100)
    # What has come since is small; what it comes to is not.
    users.remember(one, 10)
    users.remember(three, 100)
    assert [each.user.id in users for each in (one, two, three)] == [True, False, True]
    users.forget(one.user.id)
    users.remember(two, 100)
    assert len(users) == 2
