"""Brings accounts in: reads ahead, keeps many appends under way, tells of every row in its order.

Nothing is kept of how far a run came: the log holds what was brought, and every run asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from application.following import Followed, FollowWanted, Notice
from application.import_runs import Brought, Heard, ImportWanted, Place, Settled, refused
from application.importing import Offered, Source, SourceLost
from infrastructure.accounts.foreign_hashes import flaw_of
from infrastructure.ending import told_to_end
from infrastructure.event_store.appender import MAX_BATCH, Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.importing.ahead import Ahead, Checked
from infrastructure.importing.appending import Appending, Settling
from infrastructure.importing.existing import Existing
from infrastructure.importing.followed import FollowedAccounts
from infrastructure.importing.originals import Original
from infrastructure.importing.patient import PATIENCE
from infrastructure.importing.places import source_at
from infrastructure.importing.rehearsing import Rehearsing
from infrastructure.process import tune
from infrastructure.standing import Keys, Standing, open_keys

IN_FLIGHT: Final = 2 * MAX_BATCH
"""While one batch is stored, the next one forms."""

IN_FLIGHT_BYTES: Final = 8 * 1024 * 1024
"""Fewer are under way where rows are wide: each of them is in memory several times until it is stored."""

LENIENCE: Final = 0.1
"""Seconds that a run may catch up after it was late."""

Progress = Callable[[int], None]


class PostgresImports:
    """Implements the port Imports."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def source(self, place: Place) -> Source:
        return source_at(place)

    def follow(
        self, wanted: FollowWanted, notice: Callable[[Notice], None], moved: Callable[[Followed], None]
    ) -> Followed:
        # Imported here because whoever reads a file needs none of it.
        from infrastructure.importing.following import PostgresFollowing

        return PostgresFollowing(self._standing, open_keys(self._standing)).follow(wanted, notice, moved)

    def bring(self, source: Source, wanted: ImportWanted, heard: Heard, progress: Progress) -> Brought:
        tune()
        return asyncio.run(self._bring(source, wanted, heard, progress))

    async def _bring(self, source: Source, wanted: ImportWanted, heard: Heard, progress: Progress) -> Brought:
        keys = await asyncio.to_thread(open_keys, self._standing)
        with told_to_end() as end:
            return await bring(self._standing.direct, keys, source, wanted, heard, progress, end=end)


async def bring(
    conninfo: str,
    keys: Keys,
    source: Source,
    wanted: ImportWanted,
    heard: Heard = lambda offered, settled: None,
    progress: Progress = lambda rows: None,
    *,
    end: asyncio.Event | None = None,
) -> Brought:
    """Bring in what a source offers, until its end or until `end` is set. Raises SourceLost, Unavailable."""
    async with _settling(conninfo, keys, source, dry_run=wanted.dry_run) as settling:
        walk = _Walk(settling, wanted, heard, progress, end or asyncio.Event())
        return await walk.through(source)


@asynccontextmanager
async def _settling(conninfo: str, keys: Keys, source: Source, *, dry_run: bool) -> AsyncIterator[Settling]:
    existing = Existing(conninfo, keys.reader)
    followed = None
    if isinstance(source, Original) and source.tells_changes:
        followed = FollowedAccounts(conninfo, source.known_as)
    try:
        if dry_run:
            with contextlib.closing(Rehearsing(existing, keys.keyring)) as rehearsing:
                yield rehearsing
            return
        streams = stream_reads(conninfo)
        async with Appender(conninfo, patience=PATIENCE) as appender:
            log = PostgresEventLog(streams, appender, keys.mapper, keys.keyring, conninfo)
            yield Appending(log, existing, followed)
        await streams.close()
    finally:
        await existing.close()
        if followed is not None:
            await followed.close()


class _Walk:
    """One run through a source."""

    def __init__(
        self,
        settling: Settling,
        wanted: ImportWanted,
        heard: Heard,
        progress: Progress,
        end: asyncio.Event,
    ) -> None:
        self._settling = settling
        self._rate = wanted.rate
        self._heard = heard
        self._progress = progress
        self._end = end
        self._began = time.monotonic()
        self._due = self._began
        self._under_way: deque[tuple[Offered, Settled | asyncio.Future[Settled]]] = deque()
        self._bytes_under_way = 0
        self._brought = Brought(dry_run=wanted.dry_run)

    async def through(self, source: Source) -> Brought:
        """Every row of a source, or those until the end is wanted."""
        ahead = Ahead(source.offered(), flaw_of)
        try:
            await self._all_of(ahead)
        except SourceLost:
            # What was offered before is brought; what comes behind it comes with the next run.
            await self._drain(0)
            raise
        finally:
            ahead.leave()
            await self._give_up()
        self._brought.seconds = round(time.monotonic() - self._began, 3)
        return self._brought

    async def _all_of(self, ahead: Ahead) -> None:
        while not self._end.is_set():
            chunk = await self._unless_ended(ahead.next())
            if not chunk:
                break
            await self._settling.look([account for row in chunk if (account := row.account)])
            for row in chunk:
                await self._pace()
                if self._end.is_set():
                    break
                self._under_way.append((row.offered, self._settled(row)))
                self._bytes_under_way += len(row.offered.raw or b"")
                await self._drain(IN_FLIGHT - 1)
        await self._drain(0)
        self._brought.stopped = self._end.is_set()

    def _settled(self, row: Checked) -> Settled | asyncio.Future[Settled]:
        if row.account is None:
            unreadable = row.offered.account is None
            return refused(row.offered, "unreadable" if unreadable else "invalid", *row.faults)
        settled = self._settling.settle(row.offered, row.account)
        if isinstance(settled, Settled):
            return settled
        if self._rate is not None:
            self._due = max(self._due, time.monotonic() - LENIENCE) + 1 / self._rate
        return asyncio.ensure_future(settled)

    async def _drain(self, left: int) -> None:
        """Tell of rows in their order, until no more than so many are under way."""
        while self._under_way and (
            len(self._under_way) > left
            or self._bytes_under_way > IN_FLIGHT_BYTES
            or _is_settled(self._under_way[0][1])
        ):
            offered, settled = self._under_way[0]
            known = settled if isinstance(settled, Settled) else await settled
            self._under_way.popleft()
            self._bytes_under_way -= len(offered.raw or b"")
            self._brought.count(known)
            self._heard(offered, known)
            self._progress(self._brought.rows)

    async def _pace(self) -> None:
        """Wait until the next account may be stored; what is there already counts for nothing."""
        if self._rate is not None and (early := self._due - time.monotonic()) > 0:
            await self._unless_ended(asyncio.sleep(early))

    async def _unless_ended(self, what: Awaitable[list[Checked] | None]) -> list[Checked] | None:
        """What is waited for, or None as soon as the end is wanted."""
        waited, end = asyncio.ensure_future(what), asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait((waited, end), return_when=asyncio.FIRST_COMPLETED)
            return waited.result() if waited.done() else None
        finally:
            for each in (waited, end):
                each.cancel()

    async def _give_up(self) -> None:
        """Wait for nobody any more; what was sent may be stored, and the next run finds it."""
        tasks = [settled for _, settled in self._under_way if not isinstance(settled, Settled)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_settled(settled: Settled | asyncio.Future[Settled]) -> bool:
    return isinstance(settled, Settled) or settled.done()
