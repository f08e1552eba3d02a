"""Follows the table of another service until the switch: looks for changes, and sweeps up what it overlooked.

A look reads what was changed since the look before, and a minute more, since a change is seen only when it
is committed. A sweep compares the times of every row with what was taken, so that a clock that is wrong costs
a delay and not a change, and finds who is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from application.following import CannotFollow, Followed, FollowWanted, Notice
from application.import_runs import UnfitSource
from domain.values import user_id
from infrastructure.accounts.foreign_hashes import flaw_of
from infrastructure.ending import told_to_end
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.importing.followed import FollowedAccounts, Taken
from infrastructure.importing.names import Names
from infrastructure.importing.originals import LOOK, Dated, NotAnOriginal, Original, Since, Times, source_of
from infrastructure.importing.taking import Taking
from infrastructure.standing import Keys, Standing

OVERLAP: Final = timedelta(seconds=60)
SWEEP_EVERY: Final = 60.0
"""Seconds between two sweeps; on a large table they take up no more than a tenth of the time."""

ROWS: Final = 500
PATIENCE: Final = 60.0

FEW: Final = 3
SHARE: Final = 0.1
"""So many accounts, or that share of all, may be gone at once; more stand for a wrong or an emptied table."""


class PostgresFollowing:
    """Implements the port Following."""

    def __init__(self, standing: Standing, keys: Keys) -> None:
        self._standing = standing
        self._keys = keys

    def follow(
        self, wanted: FollowWanted, notice: Callable[[Notice], None], moved: Callable[[Followed], None]
    ) -> Followed:
        try:
            original = source_of(wanted.dsn, wanted.dialect)
        except NotAnOriginal as error:
            raise UnfitSource(str(error)) from None
        try:
            if not original.tells_changes:
                raise CannotFollow(
                    "That table does not say when a row was changed, so that changes cannot be followed. "
                    "Close the other service for as long as an import takes: docs/MIGRATION.md."
                )
            return asyncio.run(self._follow(original, wanted, notice, moved))
        finally:
            original.close()

    async def _follow(
        self,
        original: Original,
        wanted: FollowWanted,
        notice: Callable[[Notice], None],
        moved: Callable[[Followed], None],
    ) -> Followed:
        direct = self._standing.direct
        with told_to_end() as ended:
            async with open_follower(original, direct, self._keys, notice, moved, ended) as follower:
                await follower.run(wanted)
                return follower.count


@asynccontextmanager
async def open_follower(
    original: Original,
    conninfo: str,
    keys: Keys,
    notice: Callable[[Notice], None],
    moved: Callable[[Followed], None],
    ended: asyncio.Event,
) -> AsyncIterator[Follower]:
    """What takes changes from a table into the log of a database."""
    streams = stream_reads(conninfo)
    async with Appender(conninfo, patience=PATIENCE) as appender:
        log = PostgresEventLog(streams, appender, keys.mapper, keys.keyring, conninfo)
        followed = FollowedAccounts(conninfo, original.known_as)
        names = Names(log, followed, keys.keyring)
        try:
            taking = Taking(log, followed, flaw_of, notice, names, partial(rows_of, original))
            yield Follower(original, taking, followed, moved, ended)
        finally:
            await followed.close()
            await streams.close()


class Follower:
    """Looks and sweeps in turn until it is quiet there, or until `ended`."""

    def __init__(
        self,
        original: Original,
        taking: Taking,
        followed: FollowedAccounts,
        moved: Callable[[Followed], None],
        ended: asyncio.Event,
    ) -> None:
        self._original = original
        self._taking = taking
        self._followed = followed
        self._moved = moved
        self._ended = ended

    @property
    def count(self) -> Followed:
        return self._taking.count

    async def run(self, wanted: FollowWanted) -> None:
        since: Since = await asyncio.to_thread(self._original.now) - OVERLAP, None
        next_sweep = await self._sweep(anew=wanted.anew)
        quiet_since = time.monotonic()
        while not self._ended.is_set():
            until_quiet = wanted.until_quiet
            pause = wanted.every if until_quiet is None else min(wanted.every, until_quiet)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ended.wait()
            look_at = await asyncio.to_thread(self._original.now)
            found, reached = await self._look(since)
            if found:
                quiet_since = time.monotonic()
            since = reached or (look_at - OVERLAP, None)
            is_quiet = until_quiet is not None and time.monotonic() - quiet_since >= until_quiet
            if is_quiet or time.monotonic() >= next_sweep:
                before = self._progress()
                next_sweep = await self._sweep()
                if self._progress() != before:
                    quiet_since = time.monotonic()
                elif is_quiet:
                    return

    def _progress(self) -> tuple[int, int, int]:
        count = self.count
        return count.imported, count.changed, count.closed

    async def _look(self, since: Since) -> tuple[bool, Since | None]:
        """Whether anything had changed, and where to go on if there is more to read."""
        page = await asyncio.to_thread(self._original.changed_since, since)
        found = await self._compare(page)
        self._moved(self.count)
        last, times = page[-1] if len(page) == LOOK else ("", _NONE)
        return found, (times.changed, last) if times.changed else None

    async def _sweep(self, *, anew: bool = False) -> float:
        """Compare the times of all rows, then look for who is gone; when the next sweep is due."""
        began = time.monotonic()
        pages = self._original.times()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            await self._compare(page, anew=anew)
            if self._ended.is_set():
                return began
        await self._close_who_is_gone()
        self._taking.tell_of_the_rest()
        self._moved(self.count)
        return time.monotonic() + max(SWEEP_EVERY, 10 * (time.monotonic() - began))

    async def _compare(self, page: Sequence[tuple[str, Times]], *, anew: bool = False) -> bool:
        """Take those of a page whose times are not what was taken; whether any of them had changed."""
        ids = [found for text, _ in page if (found := user_id(text))]
        taken = await self._followed.taken(ids)
        differ = [
            text
            for text, times in page
            if anew or (found := user_id(text)) is None or taken.get(found, _NEVER).times != times.digest
        ]
        moved = False
        for start in range(0, len(differ), ROWS):
            async for rows in rows_of(self._original, differ[start : start + ROWS]):
                if self._ended.is_set():
                    return moved
                moved |= await self._taking.take(rows, anew=anew)
                self._moved(self.count)
        return moved

    async def _close_who_is_gone(self) -> None:
        gone: list[UUID] = []
        followed = 0
        async for ids in self._followed.walk():
            there = set(await asyncio.to_thread(self._original.ids_of, ids))
            gone += [one for one in ids if str(one) not in there]
            followed += len(ids)
        most = max(FEW, SHARE * followed)
        if len(gone) > most and (count := len(await self._followed.still_open(gone))) > most:
            raise CannotFollow(
                f"{count:,} of {followed:,} accounts are gone from the other service's table at once. "
                "That is taken for a wrong or an emptied table: none of them was closed here. Look there "
                "first; delete here whoever is meant to go, and run the same command again."
            )
        await self._taking.close(gone)


async def rows_of(original: Original, ids: Sequence[str]) -> AsyncIterator[list[Dated]]:
    """The rows of some ids, in pages that memory bears."""
    pages = original.of(ids)
    while (page := await asyncio.to_thread(next, pages, None)) is not None:
        yield page


_NEVER: Final = Taken(None)
_NONE: Final = Times(None, b"")
