"""The users behind the messages of the old forms are those of the log, however few fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import psycopg
import pytest

from application.ports import Recorded
from domain import events
from domain.user import User
from infrastructure.nats import afterwards
from infrastructure.nats.afterwards import Afterwards
from tests.nats.service import AT, Service


async def read_through(service: Service, page_size: int) -> list[tuple[Recorded, User | None]]:
    """Every event with the user after it, read in pages."""
    users = Afterwards(service.log.reader)
    found: list[tuple[Recorded, User | None]] = []
    async with await psycopg.AsyncConnection.connect(service.conninfo, autocommit=True) as connection:
        while True:
            position = found[-1][0].position if found else 0
            page = await service.log.reader.read(connection, position, page_size)
            if not page:
                return found
            await users.prepare(connection, page)
            for event in page:
                assert isinstance(event, Recorded)
                found.append((event, users.after(event)))


@pytest.fixture
async def log(database: str) -> AsyncIterator[Service]:
    async with Service(database, "nats://nobody-listens") as service:
        yield service


async def test_every_event_has_the_user_after_it(log: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    users = await log.register(8)
    for _ in range(2):
        for user in users:
            await log.rename(user, 1)
    gone = users[0]
    await log.append(gone, events.ErasureRequested(at=AT))
    await log.append(gone, events.Erased(at=AT))
    for page_size, remembered in itertools.product((1, 7, 100), (0, 3, 1000)):
        monkeypatch.setattr(afterwards, "REMEMBERED", remembered)
        found = await read_through(log, page_size)
        assert len(found) == 8 + 16 + 2
        for event, after in found:
            if event.user_id == gone:
                assert after is None
                continue
            assert after is not None
            assert (after.id, after.version) == (event.user_id, event.version)
            assert after.email.startswith("user")


async def test_whoever_is_forgotten_between_two_reads_is_nobody(log: Service) -> None:
    (gone, other) = await log.register(2)
    await log.rename(gone, 1)
    await log.rename(other, 1)
    async with await psycopg.AsyncConnection.connect(log.conninfo, autocommit=True) as connection:
        page = await log.log.reader.read(connection, 2, 10)
        await log.append(gone, events.ErasureRequested(at=AT))
        users = Afterwards(log.log.reader)
        await users.prepare(connection, page)
        after = [users.after(event) for event in page if isinstance(event, Recorded)]
    assert [user and user.id for user in after] == [None, other]
