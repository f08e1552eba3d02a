"""The event log on PostgreSQL: folds users, appends changes, reads pages for those who follow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from psycopg.sql import SQL

from application.ports import Change, History, Recorded, Unreadable
from domain.errors import HistoryUnreadable, Unavailable, UnknownEvent
from domain.events import ErasureRequested
from domain.user import User, evolve
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.folded import Folded, FoldedUsers
from infrastructure.event_store.keyring import Keyring, UserKey
from infrastructure.event_store.mapper import FORGOTTEN, EventMapper, Key, SealBroken
from infrastructure.event_store.prepared import position_of, prepare
from infrastructure.postgres.reads import PointReads

_STREAMS = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM unnest(%b::uuid[]) AS asked (id)
JOIN events e ON e.stream_id = asked.id
LEFT JOIN user_keys k ON k.user_id = asked.id
ORDER BY e.stream_id, e.version"""

_FROM: LiteralString = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at, asked.version
FROM unnest(%b::uuid[], %b::int8[]) AS asked (id, version)
JOIN events e ON e.stream_id = asked.id AND e.version >= asked.version
LEFT JOIN user_keys k ON k.user_id = asked.id
ORDER BY asked.id, asked.version, e.version"""

_PAGE = SQL("""
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM events e LEFT JOIN user_keys k ON k.user_id = e.stream_id
WHERE e.position > %b AND e.position <= %b
ORDER BY e.position LIMIT %b""")

_PART = SQL("""
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM events e LEFT JOIN user_keys k ON k.user_id = e.stream_id
WHERE e.position > %b AND e.position <= %b AND (uuid_hash(e.stream_id) & 2147483647) %% %b = %b
ORDER BY e.position""")

NO_END = 2**62
"""A position that no log reaches."""

log = logging.getLogger("usersd.log")

Row = tuple[int, UUID, int, str, bytes, int | None, bytes | None, datetime | None]
Streams = PointReads[tuple[UUID, int], list[Row]]


class EventReader:
    """Opens rows of the log; what cannot be opened is answered as Unreadable, never left out."""

    def __init__(self, mapper: EventMapper, keyring: Keyring) -> None:
        self._mapper = mapper
        self._keyring = keyring

    def key_of(self, row: Row) -> Key:
        """The key of the row's user. Raises SealBroken where there is none and none was destroyed."""
        _, user_id, _, _, _, epoch, wrapped, destroyed_at = row
        if destroyed_at is not None:
            return FORGOTTEN
        if epoch is None or wrapped is None:
            raise SealBroken("the user's key is missing, and nobody destroyed it")
        try:
            return self._keyring.user_key(user_id, epoch, wrapped)
        except (InvalidTag, KeyError):
            raise SealBroken("the user's key cannot be unwrapped") from None

    def open(self, row: Row, key: Key) -> Recorded:
        """Raises UnknownEvent, SealBroken or msgspec.MsgspecError."""
        return self._mapper.open(row[1], row[2], row[3], row[4], key, row[0])

    def open_page(self, rows: Iterable[Row]) -> list[Recorded | Unreadable]:
        """A page of the log, in order and without a gap."""
        page: list[Recorded | Unreadable] = []
        keys: dict[UUID, Key] = {}
        for row in rows:
            try:
                if (key := keys.get(row[1])) is None:
                    key = keys[row[1]] = self.key_of(row)
                page.append(self.open(row, key))
            except UnknownEvent as refusal:
                page.append(_unreadable(row, refusal.code))
            except (SealBroken, msgspec.MsgspecError, UnicodeDecodeError) as error:
                page.append(_unreadable(row, type(error).__name__))
        return page

    async def read(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = NO_END
    ) -> list[Recorded | Unreadable]:
        """Up to `limit` events after a position, in order."""
        return self.open_page(await self.rows(connection, after, limit, until))

    async def rows(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = NO_END
    ) -> Sequence[Row]:
        """The same as the log holds it, each row with its user's key as it is in that moment."""
        cursor = await connection.execute(_PAGE, (after, until, limit), prepare=True, binary=True)
        rows: list[Any] = await cursor.fetchall()
        return rows

    async def read_part(
        self, connection: psycopg.AsyncConnection, after: int, until: int, number: int, count: int
    ) -> list[Recorded | Unreadable]:
        """The events after a position and up to another whose users are of a part, in order."""
        place = (after, until, count, number)
        cursor = await connection.execute(_PART, place, prepare=True, binary=True)
        rows: list[Any] = await cursor.fetchall()
        return self.open_page(rows)

    async def read_stream(
        self, connection: psycopg.AsyncConnection, user_id: UUID
    ) -> list[Recorded | Unreadable]:
        """Every event of one user, in order."""
        cursor = await connection.execute(SQL(_STREAMS), ([user_id],), binary=True)
        rows: list[Any] = await cursor.fetchall()
        return self.open_page(rows)

    async def read_streams(
        self, connection: psycopg.AsyncConnection, user_ids: Sequence[UUID]
    ) -> dict[UUID, list[Recorded | Unreadable]]:
        """Every event of some users, in order, by user."""
        cursor = await connection.execute(SQL(_STREAMS), (list(user_ids),), binary=True)
        rows: list[Any] = await cursor.fetchall()
        streams: dict[UUID, list[Recorded | Unreadable]] = {}
        for event in self.open_page(rows):
            streams.setdefault(event.user_id, []).append(event)
        return streams


class PostgresEventLog:
    """Implements the port EventLog."""

    def __init__(
        self,
        streams: Streams,
        appender: Appender,
        mapper: EventMapper,
        keyring: Keyring,
        conninfo: str,
    ) -> None:
        self._streams = streams
        self._appender = appender
        self._mapper = mapper
        self._keyring = keyring
        self._conninfo = conninfo
        self._folded = FoldedUsers()
        self.reader = EventReader(mapper, keyring)

    async def load(self, user_id: UUID) -> History:
        known = self._folded.get(user_id)
        rows = await self._streams.get((user_id, known.user.version if known else 1)) or []
        if known and not _is_of(known, rows):
            self._folded.forget(user_id)
            known, rows = None, await self._streams.get((user_id, 1)) or []
        user = known.user if known else User(id=user_id)
        if not rows:
            return History(user=user)
        key, records = self._opened(rows, user.version)
        for recorded in records:
            user = evolve(user, recorded.event)
        position, state = rows[-1][0], rows[-1][4]
        if not isinstance(key, UserKey):
            return History(user=user, position=position)
        self._folded.remember(Folded(user, position, state, key), max(len(row[4]) for row in rows))
        return History(user=user, position=position, key=key)

    async def timeline(self, user_id: UUID) -> Sequence[Recorded]:
        rows = await self._streams.get((user_id, 1))
        return self._opened(rows)[1] if rows else ()

    def _opened(self, rows: Sequence[Row], known: int = 0) -> tuple[Key, list[Recorded]]:
        """The key of a user and the events beyond the version that is known, from which on the rows are."""
        try:
            key = self.reader.key_of(rows[0])
            records = [self.reader.open(row, key) for row in rows if row[2] > known]
        except psycopg.OperationalError:
            # The epoch of the key is new, and the keyring cannot be read at the moment.
            raise Unavailable from None
        except (SealBroken, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("the history of user %s cannot be read: %s", rows[0][1], type(error).__name__)
            raise HistoryUnreadable from None
        if known + len(records) != rows[-1][2]:
            log.error("the history of user %s cannot be read: a version is missing", rows[0][1])
            raise HistoryUnreadable
        return key, records

    async def append(self, change: Change) -> int:
        prepared = prepare(change, self._mapper, self._keyring)
        try:
            outcome = await self._appender.append(prepared)
            if outcome.outcome == "old_epoch":
                await asyncio.to_thread(self._keyring.learn)
            position = position_of(outcome)
        except psycopg.Error as error:
            raise _refusal(error) from None
        if any(isinstance(event, ErasureRequested) for event in change.events):
            self._folded.forget(change.after.id)
        return position

    async def head(self) -> int:
        try:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM events")
                row = await cursor.fetchone()
                assert row is not None
                return int(row[0])
        except psycopg.OperationalError:
            raise Unavailable from None


def stream_reads(conninfo: str) -> Streams:
    """Streams by user id, from a version on, shared between concurrent callers."""
    return PointReads(conninfo, _FROM, _by_stream, _columns)


def _columns(asked: Sequence[tuple[UUID, int]]) -> list[Any]:
    return [list(column) for column in zip(*asked, strict=True)]


def _by_stream(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[tuple[UUID, int], list[Row]]]:
    streams: dict[tuple[UUID, int], list[Any]] = {}
    for row in rows:
        streams.setdefault((row[1], row[8]), []).append(row[:8])
    return streams.items()


def _is_of(known: Folded, rows: Sequence[Row]) -> bool:
    """Whether rows begin with the event that a user is known up to, and the key is there as it was."""
    if not rows:
        return False
    position, _, _, _, state, _, wrapped, _ = rows[0]
    return (position, state, wrapped) == (known.position, known.state, known.key.wrapped)


def _unreadable(row: Row, reason: str) -> Unreadable:
    return Unreadable(
        position=row[0],
        user_id=row[1],
        version=row[2],
        name=row[3],
        reason=reason,
        forgotten=row[7] is not None,
    )


def _refusal(error: psycopg.Error) -> Exception:
    # The database's own words can hold a value that the caller sent.
    return Unavailable() if isinstance(error, psycopg.OperationalError) else _Unstorable(type(error).__name__)


class _Unstorable(Exception):
    """The database refused a change for a reason that no rule of ours foresees."""
