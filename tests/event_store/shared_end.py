"""A log in memory whose end is shared, its clock, and those who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg

from application.ports import Recorded, Unreadable
from domain import events
from domain.access import SYSTEM
from infrastructure.event_store.keyring import UserKey
from infrastructure.event_store.log import NO_END, Row
from infrastructure.event_store.mapper import EventMapper
from infrastructure.event_store.tail import Tail
from infrastructure.postgres.notifications import Signal
from tests.support.memory import NOON, keyring

KEYS = keyring()
USERS = [UUID(int=number) for number in (1, 2, 3)]
NOBODY = cast(psycopg.AsyncConnection, None)


class Log:
    """A log in memory, whose rows are sealed as real ones are, and a clock."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.keys: dict[UUID, UserKey] = {user: KEYS.new_user_key(user) for user in USERS}
        self.destroyed: dict[UUID, datetime] = {}
        self.time = 0.0

    def append(self, user: UUID, event: events.Event) -> None:
        version = sum(row[1] == user for row in self.rows) + 1
        recorded = Recorded(
            position=0, user_id=user, version=version, name=event.stored_name, event=event,
            event_id=uuid4(), actor=SYSTEM, command_id=uuid4(), correlation_id=uuid4(),
        )  # fmt: skip
        stored = EventMapper().seal(recorded, self.keys[user])
        self.rows.append((len(self.rows) + 1, user, version, stored.topic, stored.state))

    def rename(self, user: UUID) -> None:
        if user not in self.destroyed:
            self.append(user, events.ProfileUpdated(at=NOON, first_name="PERSONAL"))

    def erase(self, user: UUID) -> None:
        if user not in self.destroyed:
            self.append(user, events.ErasureRequested(at=NOON))
            self.destroyed[user] = NOON

    def page(self, after: int, limit: int) -> list[Row]:
        """As one statement sees it, keys included."""
        return [self._row(row) for row in self.rows[after : after + limit]]

    def _row(self, row: tuple[Any, ...]) -> Row:
        key, gone = self.keys[row[1]], self.destroyed.get(row[1])
        return (*row, key.epoch, None if gone else key.wrapped, gone)


class Looking(Tail):
    """A tail over a log in memory; `looks` are the positions that it was looked behind."""

    def __init__(self, log: Log, appended: Signal) -> None:
        super().__init__(EventMapper(), KEYS, appended, lambda: log.time)
        self.log = log
        self.looks: list[int] = []
        self.stuck = False

    async def rows(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = NO_END
    ) -> Sequence[Row]:
        self.looks.append(after)
        if self.stuck:
            self.stuck = False
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return self.log.page(after, limit)


class Reader:
    """Somebody who follows, and the positions that they were given."""

    def __init__(self, tail: Looking, begins: int = 0) -> None:
        self.tail = tail
        self.position = begins
        self.given: list[Recorded | Unreadable] = []

    async def read(self, limit: int = 1000) -> list[Recorded | Unreadable]:
        page = await self.tail.read(NOBODY, self.position, limit)
        assert [event.position for event in page] == [self.position + 1 + n for n in range(len(page))]
        self.given += page
        self.position += len(page)
        return page


def log_of(*users: UUID) -> Log:
    log = Log()
    for user in users:
        log.rename(user)
    return log
