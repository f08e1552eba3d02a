"""Signs checkpoints of the log, apart from the append, and sees to it that each one leaves the database.

A checkpoint is made in the database, where its number is taken once; then every process brings its own file
up to what the database holds. So each file is whole, however many machines there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg

from application.cancelling import heed_cancellation
from infrastructure.integrity.checkpoint import (
    NOTHING,
    CheckpointInvalid,
    Signed,
    following,
    signed,
    verified,
)
from infrastructure.integrity.file import CheckpointFile, CheckpointFileUnusable
from infrastructure.integrity.rolling import PositionsMissing, rolled_on
from infrastructure.postgres.complaints import cause
from infrastructure.tokens.signing import SigningKey

LOCK = 7310580243119881
LOOK = 5.0
"""Seconds between two looks at the log."""

FAREWELL = 5.0
"""Seconds, at most, that the last checkpoint may hold up a stop."""

_LAST = "SELECT checkpoint FROM log_checkpoints ORDER BY number DESC LIMIT 1"
_HEAD = "SELECT coalesce(max(position), 0) FROM events"
_INSERT = "INSERT INTO log_checkpoints (number, checkpoint) VALUES (%s, %s)"
_AT = "SELECT checkpoint FROM log_checkpoints WHERE number = %s"
_BEHIND: LiteralString = """
SELECT checkpoint FROM log_checkpoints WHERE number > %s ORDER BY number LIMIT 1000"""

log = logging.getLogger("usersd.integrity")


class LogDisagrees(Exception):
    """The log is not the one that was signed; the text says by what it shows."""


class Checkpointer:
    """Makes checkpoints until cancelled; any number of processes may, and one at a time does.

    `announce` hears of each new one, after it is in the database and in the file.
    """

    def __init__(
        self,
        conninfo: str,
        key: SigningKey,
        file: CheckpointFile,
        *,
        events: int,
        interval: timedelta,
        look: float = LOOK,
        announce: Callable[[Signed], Awaitable[None]] | None = None,
    ) -> None:
        self._conninfo = conninfo
        self.key = key
        self.file = file
        self._events = events
        self._interval = interval
        self._look = look
        self._announce = announce
        self._complaint = ""

    async def run(self) -> None:
        """Look at the log again and again; troubles are logged once each and tried again."""
        while True:
            heed_cancellation()
            try:
                await self.step()
                self._complaint = ""
            except CheckpointFileUnusable as error:
                self._complain(f"no checkpoint can be written down: {error}")
            except (LogDisagrees, CheckpointInvalid, PositionsMissing) as error:
                self._complain(f"no checkpoint can be signed: {error}; run `usersd events verify`")
            except psycopg.OperationalError as error:
                self._complain(f"no checkpoints: no database ({cause(error)}); trying again")
            except Exception as error:
                self._complain(f"no checkpoints: {type(error).__name__}; trying again", error)
            await asyncio.sleep(self._look)

    async def finish(self) -> None:
        """Sign what has come since the last checkpoint, so that a process that ends leaves nothing uncovered.

        What keeps it from that costs a line in the log: the next start signs it.
        """
        try:
            async with asyncio.timeout(FAREWELL):
                await self.step(now=True)
        except Exception as error:
            log.warning("no checkpoint at the end (%s): the next start signs it", type(error).__name__)

    async def step(self, *, now: bool = False) -> Signed | None:
        """Take a checkpoint if one is due, or at once, and write the file; the checkpoint if one was taken.

        Raises LogDisagrees, CheckpointInvalid, CheckpointFileUnusable, PositionsMissing, psycopg.Error.
        """
        made = await asyncio.to_thread(self._work, now)
        if made and self._announce:
            await self._announce(made)
        return made

    def _work(self, now: bool) -> Signed | None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            # First, so that what is outside and not inside is noticed before anything is added to it.
            bring_up_to_date(connection, self.file)
            made = self._take(connection, now)
            if made:
                bring_up_to_date(connection, self.file)
            return made

    def _take(self, connection: psycopg.Connection, now: bool) -> Signed | None:
        with connection.transaction():
            row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone()
            if not row or not row[0]:
                return None
            last = last_checkpoint(connection, self.key)
            since = last.checkpoint.rolled if last else NOTHING
            head = head_of(connection)
            if head < since.position:
                raise LogDisagrees(f"the log ends at {head}, and was signed up to {since.position}")
            if head == since.position or not (now or self._due(last, head)):
                return None
            rolled = rolled_on(connection, since, head)
            made = signed(following(last, rolled, datetime.now(UTC)), self.key)
            connection.execute(_INSERT, (made.checkpoint.number, made.text))
            return made

    def _due(self, last: Signed | None, head: int) -> bool:
        if last is None:
            return True
        at, position = last.checkpoint.at, last.checkpoint.position
        # A checkpoint of the future is one of a clock that was put back since.
        return head - position >= self._events or abs(datetime.now(UTC) - at) >= self._interval

    def _complain(self, words: str, error: Exception | None = None) -> None:
        if words != self._complaint:
            self._complaint = words
            log.error("%s", words, exc_info=error)


def last_checkpoint(connection: psycopg.Connection, key: SigningKey) -> Signed | None:
    """The newest checkpoint of the database. Raises CheckpointInvalid where this key has not signed it."""
    row = connection.execute(_LAST).fetchone()
    if row is None:
        return None
    last = verified(row[0])
    if last.kid != key.kid:
        raise CheckpointInvalid("the newest checkpoint of the database is signed by an unknown key")
    return last


def head_of(connection: psycopg.Connection) -> int:
    """The position of the last event, 0 where there is none."""
    row = connection.execute(_HEAD).fetchone()
    assert row is not None
    return int(row[0])


def bring_up_to_date(connection: psycopg.Connection, file: CheckpointFile) -> None:
    """Append to the file what the database has beyond it.

    Raises LogDisagrees where the file has what the database has not, and CheckpointFileUnusable.
    """
    newest = next(file.newest_first(), None)
    number = newest.checkpoint.number if newest else 0
    if newest:
        row = connection.execute(_AT, (number,)).fetchone()
        if row is None or row[0] != newest.text:
            raise LogDisagrees(
                f"checkpoint {number} of {file.path} is not the database's checkpoint {number}"
            )
    if not _beyond(connection, number):
        return
    with file.held():
        # Another process of this machine may have been first.
        newest = next(file.newest_first(), None)
        number = newest.checkpoint.number if newest else 0
        while texts := _beyond(connection, number):
            file.append(texts)
            number = verified(texts[-1]).checkpoint.number


def _beyond(connection: psycopg.Connection, number: int) -> Sequence[str]:
    return [text for (text,) in connection.execute(_BEHIND, (number,)).fetchall()]
