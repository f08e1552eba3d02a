"""Writes a log without a service: real appends, random histories, and rows that no append would make."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg

from application.messages import Context
from application.ports import Change
from domain import events
from domain.access import SYSTEM, Actor
from domain.events import Event
from domain.user import evolve
from domain.values import Role, Status
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import EventReader, PostgresEventLog, stream_reads
from infrastructure.standing import Keys, open_keys
from tests.support.databases import standing

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Writer:
    """Appends to the log of a database; the names it makes up are counted from `first`."""

    def __init__(self, conninfo: str, first: int = 1) -> None:
        self.conninfo = conninfo
        self._numbers = itertools.count(first)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Writer:
        self.keys: Keys = await asyncio.to_thread(open_keys, standing(self.conninfo))
        appender = await self._stack.enter_async_context(Appender(self.conninfo))
        streams = stream_reads(self.conninfo)
        self._stack.push_async_callback(streams.close)
        self.log = PostgresEventLog(streams, appender, self.keys.mapper, self.keys.keyring, self.conninfo)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def reader(self) -> EventReader:
        return self.keys.reader

    async def append(self, user_id: UUID, *new: Event, by: Actor = SYSTEM) -> int:
        """Append one command's events; the position of the last."""
        before = await self.log.load(user_id)
        after = before.user
        for event in new:
            after = evolve(after, event)
        context = Context(actor=by, at=AT, command_id=uuid4(), correlation_id=uuid4())
        return await self.log.append(Change(before=before, after=after, events=new, context=context))

    async def register(self, count: int = 1, **more: Any) -> list[UUID]:
        """So many new users, appended at once."""
        users = [uuid4() for _ in range(count)]
        await asyncio.gather(*(self.append(user, self.registered(**more)) for user in users))
        return users

    def registered(self, **more: Any) -> events.Registered:
        number = next(self._numbers)
        fields = {"email": f"User{number}@example.com", "username": f"user{number}", "first_name": "Ada"}
        return events.Registered(at=AT, **(fields | more))

    async def rename(self, user_id: UUID, times: int = 1) -> None:
        for _ in range(times):
            await self.append(user_id, events.ProfileUpdated(at=AT, first_name=f"name {next(self._numbers)}"))

    def forget(self, user_id: UUID) -> None:
        """Destroy a user's key, as an erasure does."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", (user_id,)
            )

    async def random_history(self, seed: int, users: int, events_each: int) -> list[UUID]:
        """Users whose events come in an order that is not known beforehand."""
        chance = random.Random(seed)
        known = [uuid4() for _ in range(users)]
        plans = {user: chance.randint(1, 2 * events_each) for user in known}

        async def live(user: UUID, length: int) -> None:
            await self.append(user, self.beginning(chance))
            for number in range(1, length):
                by = Actor("user", chance.choice(known)) if chance.random() < 0.7 else SYSTEM
                event = self.any_event(chance, AT + timedelta(seconds=number), by.id)
                await self.append(user, event, by=by)

        await asyncio.gather(*(live(user, length) for user, length in plans.items()))
        return known

    def beginning(self, chance: random.Random) -> Event:
        """The first event of a user."""
        started = self.registered(
            last_name=chance.choice(("", "Lovelace", "ΛΟΒΛΕΪΣ", "ﬁ")),
            tags=chance.choice(([], ["a"], ["b", "c"])),
            metadata=chance.choice(({}, {"deep": {"er": [1, 2.5, None]}})),
            private_metadata=chance.choice(({}, {"secret": "yes"})),
            dialect=chance.choice(("magistrala", "mainflux")),
            role=chance.choice((Role.USER, Role.ADMIN)),
            status=chance.choice((Status.ENABLED, Status.DISABLED)),
        )
        if chance.random() < 0.7:
            return started
        fields = {field: getattr(started, field) for field in started.__struct_fields__}
        times: dict[str, Any] = {"created_at": AT - timedelta(days=9), "updated_by": "somebody"}
        if chance.random() < 0.5:
            times |= {"updated_at": AT - timedelta(days=3), "verified_at": AT - timedelta(days=2)}
        return events.Imported(**(fields | times))

    def any_event(self, chance: random.Random, at: datetime, by: UUID | None) -> Event:
        """A later event of a user, whatever came before it."""
        number = next(self._numbers)
        choices: list[tuple[Callable[..., Event], dict[str, Any]]] = [
            (events.Verified, {}),
            (events.ProfileUpdated, {"first_name": f"É{number}"}),
            (events.ProfileUpdated, {"metadata": {}, "private_metadata": {"n": number}}),
            (events.TagsChanged, {"tags": chance.choice(([], [f"t{number}"]))}),
            (events.PictureChanged, {"profile_picture": chance.choice(("", "https://x.example/1"))}),
            (events.EmailChanged, {"email": f"Moved{number}@example.com"}),
            (events.UsernameChanged, {"username": f"Moved{number}"}),
            (events.SecretChanged, {}),
            (events.Enabled, {}),
            (events.Disabled, {}),
            (events.Deleted, {}),
            (events.Restored, {}),
        ]
        kind, fields = chance.choice(choices)
        return kind(at=at, by=by, **fields)

    def by_hand(
        self, user_id: UUID, name: str, *, version: int, state: bytes | None = None, **data: Any
    ) -> int:
        """Insert a row as only somebody with the database's own tools would; its position."""
        if state is None:
            state = envelope(data=data)
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(
                "INSERT INTO events SELECT max(position) + 1, %s, %s, %s, %s,"
                " (SELECT hash FROM events WHERE stream_id = %s ORDER BY version DESC LIMIT 1), %s"
                " FROM events RETURNING position",
                (user_id, version, name, state, user_id, hashlib.sha256(state).digest()),
            ).fetchone()
            connection.execute("SELECT pg_notify('usersd_events', '')")
        assert row is not None
        return int(row[0])


def envelope(data: dict[str, Any] | None = None, sealed: bytes = b"") -> bytes:
    """The bytes of an event's row, well-formed but for what is asked for."""
    fields: dict[str, Any] = {
        "id": uuid4(), "at": AT, "actor": SYSTEM, "command": uuid4(), "correlation": uuid4(),
        "data": data or {},
    }  # fmt: skip
    if sealed:
        fields |= {"key": 1, "sealed": base64.b64encode(sealed).decode()}
    return msgspec.json.encode(fields)
