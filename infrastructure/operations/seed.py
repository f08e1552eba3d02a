"""Appends the lives of invented users to the log, as commands would: one by one, many at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL

from application.messages import Context
from application.ports import Change, EventLog, History
from application.seeding import ForeignUsers, Seeded, SeedProgress, SeedWanted
from domain.errors import EmailTaken, OutcomeUnknown, Unavailable, UsernameTaken, VersionConflict
from domain.events import Registered
from domain.user import User, evolve
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.operations.invented import INVENTED, SECRET, SECRET_HASH, Act, Life, id_of, life
from infrastructure.process import tune
from infrastructure.settings import Settings
from infrastructure.standing import Standing, open_keys

CALLERS: Final = 256
CHUNK: Final = 5000
TRIES: Final = 5
PATIENCE: Final = 60.0
"""Seconds for which an append waits on a database that others keep busy."""

_FOREIGN = SQL("""
SELECT EXISTS (
    SELECT FROM credentials WHERE NOT ({})
    AND user_id NOT IN (SELECT n.user_id FROM names n WHERE n.kind = 'first_admin'))""").format(SQL(INVENTED))

_VERSIONS = """
SELECT asked.id, (SELECT max(e.version) FROM events e WHERE e.stream_id = asked.id)
FROM unnest(%b::uuid[]) AS asked (id)"""

_ANYBODY_ADMIN = "SELECT EXISTS (SELECT FROM names WHERE kind = 'first_admin')"


class PostgresSeeding:
    """Implements the port Seeding."""

    def __init__(self, standing: Standing, settings: Settings) -> None:
        self._standing = standing
        self._settings = settings

    def seed(self, wanted: SeedWanted, progress: Callable[[SeedProgress], None]) -> Seeded:
        tune()
        return asyncio.run(self._seed(wanted, progress))

    async def _seed(self, wanted: SeedWanted, progress: Callable[[SeedProgress], None]) -> Seeded:
        await asyncio.to_thread(self._refuse_foreigners, wanted)
        await self._first_admin()
        keys = await asyncio.to_thread(open_keys, self._standing)
        streams = stream_reads(self._standing.direct)
        async with Appender(self._standing.direct, patience=PATIENCE) as appender:
            log = PostgresEventLog(streams, appender, keys.mapper, keys.keyring, self._standing.direct)
            try:
                return await sow(log, self._standing.direct, wanted, progress)
            finally:
                await streams.close()

    def _refuse_foreigners(self, wanted: SeedWanted) -> None:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            row = connection.execute(_FOREIGN).fetchone()
        if row and row[0] and not wanted.force:
            raise ForeignUsers

    async def _first_admin(self) -> None:
        """Make the admin of the settings, as the first start would: later there would be one already."""
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            row = connection.execute(_ANYBODY_ADMIN).fetchone()
        if row and row[0]:
            return
        # Imported here because nobody else needs a whole service.
        from infrastructure.bootstrap import open_service
        from infrastructure.first_admin import make_first_admin

        keys = await asyncio.to_thread(open_keys, self._standing)
        async with open_service(self._settings, self._standing, keys) as service:
            await make_first_admin(service.bus, self._settings)


async def sow(
    log: EventLog,
    conninfo: str,
    wanted: SeedWanted,
    progress: Callable[[SeedProgress], None] = lambda step: None,
) -> Seeded:
    """Append what is missing of the wanted lives. Cut short, the next call goes on where it was."""
    sower, began = _Sower(log, wanted, progress), time.monotonic()
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        for start in range(0, wanted.users, CHUNK):
            numbers = range(start, min(start + CHUNK, wanted.users))
            ids = [id_of(wanted.seed, number) for number in numbers]
            cursor = await connection.execute(_VERSIONS, (ids,), binary=True)
            reached: dict[UUID, int | None] = dict(await cursor.fetchall())
            todo = ((number, reached[user_id] or 0) for number, user_id in zip(numbers, ids, strict=True))
            await _all_of([sower.work(todo) for _ in range(CALLERS)])
    first = life(wanted.seed, 0, 1).acts[0].event
    assert isinstance(first, Registered)
    return Seeded(
        users=sower.users,
        already=sower.already,
        taken=sower.taken,
        events=sower.events,
        seconds=round(time.monotonic() - began, 1),
        admin=first.email,
        secret=SECRET,
    )


async def _all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; the first fault ends them all."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Sower:
    """What several callers do at once: batches form only where many wait."""

    def __init__(self, log: EventLog, wanted: SeedWanted, progress: Callable[[SeedProgress], None]) -> None:
        self._log = log
        self._wanted = wanted
        self._progress = progress
        self.users = self.already = self.taken = self.events = 0

    async def work(self, todo: Iterator[tuple[int, int]]) -> None:
        for number, version in todo:
            one = life(self._wanted.seed, number, self._wanted.events_per_user)
            if version >= len(one.acts):
                self.already += 1
            elif await self._lived(one, version):
                self.users += 1
            else:
                self.taken += 1
            done = self.users + self.already + self.taken
            self._progress(SeedProgress(done, self._wanted.users, self.events))

    async def _lived(self, one: Life, version: int) -> bool:
        """Whether the life could be appended to its end; False where a name of it is somebody else's."""
        before = History(user=User(id=one.id)) if version == 0 else await self._log.load(one.id)
        tries = 0
        while before.user.version < len(one.acts):
            act = one.acts[before.user.version]
            after = evolve(before.user, act.event)
            try:
                position = await self._log.append(_change(before, after, act))
            except (EmailTaken, UsernameTaken):
                return False
            except (VersionConflict, OutcomeUnknown, Unavailable):
                # It may have been stored: the log says how far this life is.
                tries += 1
                if tries == TRIES:
                    raise
                before = await self._log.load(one.id)
                continue
            self.events += 1
            if before.key is None and after.version < len(one.acts):
                # Only the log knows the key that the first append has made.
                before = await self._log.load(one.id)
            else:
                before = History(user=after, position=position, key=before.key)
        return True


def _change(before: History, after: User, act: Act) -> Change:
    context = Context(actor=act.by, at=act.event.at, command_id=act.command_id, correlation_id=act.command_id)
    secret_hash = None if before.user.version else SECRET_HASH
    return Change(before=before, after=after, events=[act.event], context=context, secret_hash=secret_hash)
