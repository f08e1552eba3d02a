"""The end of the log, read and opened once for everybody in this process who follows it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from domain.events import ErasureRequested
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.log import NO_END, EventReader, Row
from infrastructure.event_store.mapper import EventMapper
from infrastructure.postgres.notifications import Signal

LOOKS_EVERY = 0.9
"""Seconds for which nobody looks again where nothing was found, unless something is notified.

Less than those after which each follower asks again: one look covers what all of them may have missed.
"""

KEPT = 1.0
"""Seconds for which opened events are handed out: beyond that they are read, and opened, anew."""

MAX_EVENTS = 1000
MAX_BYTES = 1024 * 1024
"""As sealed; opened, it may be many times as much."""

PATIENCE = 0.25
"""Seconds for which one follower waits for another's look, which may be stuck in a connection of its own."""

STUCK_FOR = 5.0
"""Seconds for which nobody waits for a look that was waited for in vain."""

Page = list[Recorded | Unreadable]


class _Opened(msgspec.Struct, frozen=True):
    """Events without a gap, and when the look that found them began."""

    events: Page
    size: int
    at: float

    @property
    def before(self) -> int:
        return self.events[0].position - 1

    @property
    def last(self) -> int:
        return self.events[-1].position


class Tail(EventReader):
    """Reads as its base does, and whoever stands near the end of the log shares what is found there.

    Events are handed out in order and without a gap. Where nothing is found, that is as of the last look: a
    follower that is answered so waits for `signal`, which fires for whatever is found or notified later. Who
    is further behind reads alone. Nothing that was opened before a user was forgotten is handed out after the
    request for it has been read, nor for longer than KEPT seconds.
    """

    def __init__(
        self,
        mapper: EventMapper,
        keyring: Keyring,
        appended: Signal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(mapper, keyring)
        self.signal = Signal()
        self._clock = clock
        self._opened: deque[_Opened] = deque()
        self._end = 0
        self._told = 0
        self._looked = -LOOKS_EVERY
        self._resets = 0
        self._stuck_until = 0.0
        self._tidying: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        appended.listeners.append(self._heard)

    async def read(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = NO_END
    ) -> Page:
        if until < NO_END:
            return await super().read(connection, after, limit, until)
        if (page := self._known(after, limit)) is not None:
            return page
        if after < self._end or not await self._has_turn():
            return await super().read(connection, after, limit)
        try:
            # Somebody else may have looked meanwhile.
            if (page := self._known(after, limit)) is not None:
                return page
            return await self._look(connection, after, limit)
        finally:
            self._turn.release()

    async def _has_turn(self) -> bool:
        if self._turn.locked() and self._clock() < self._stuck_until:
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._turn.acquire()
        except TimeoutError:
            self._stuck_until = self._clock() + STUCK_FOR
            return False

    async def _look(self, connection: psycopg.AsyncConnection, after: int, limit: int) -> Page:
        began, told, resets = self._clock(), self._told, self._resets
        rows = await self.rows(connection, after, limit)
        page = self.open_page(rows)
        if resets != self._resets:
            # What was read meanwhile may be of a server that is the one no more.
            return page
        self._end = page[-1].position if page else after
        self._looked = began if len(page) < limit else -LOOKS_EVERY
        if page:
            self._keep(after, rows, page, began)
            if self._end > told:
                # Nobody was told of it yet: it is sooner here than its notification, or that was lost.
                self.signal.fire()
        return page

    def _known(self, after: int, limit: int) -> Page | None:
        """What comes next, as far as it is kept; nothing where nothing can be there; None: look."""
        now = self._clock()
        self._drop_what_is_old(now)
        if self._opened and self._opened[0].before <= after < self._opened[-1].last:
            page: Page = []
            for opened in self._opened:
                if opened.last > after + len(page) and len(page) < limit:
                    begin = after + len(page) - opened.before
                    page += islice(opened.events, begin, begin + limit - len(page))
            return page
        if after == self._end >= self._told and now - self._looked < LOOKS_EVERY:
            return []
        return None

    def _drop_what_is_old(self, now: float) -> None:
        while self._opened and now - self._opened[0].at > KEPT:
            self._opened.popleft()

    def _tidy(self) -> None:
        """Keep nothing opened for longer than it may be handed out, where nobody asks any more."""
        self._tidying = None
        self._drop_what_is_old(self._clock())
        if self._opened:
            self._tidying = asyncio.get_running_loop().call_later(KEPT, self._tidy)

    def _keep(self, after: int, rows: Sequence[Row], page: Page, at: float) -> None:
        kept = self._opened
        # All of one page was opened under the keys of one moment; what was opened before may be forgotten.
        forgets = any(event.name == ErasureRequested.stored_name for event in page)
        if forgets or (kept and kept[-1].last != after):
            kept.clear()
        size = sum(len(row[4]) for row in rows)
        whole = page[0].position == after + 1 and page[-1].position == after + len(page)
        # What could not be opened now may be the next time.
        if not whole or size > MAX_BYTES or any(isinstance(event, Unreadable) for event in page):
            kept.clear()
            return
        kept.append(_Opened(page, size, at))
        while sum(one.size for one in kept) > MAX_BYTES or sum(len(one.events) for one in kept) > MAX_EVENTS:
            kept.popleft()
        if kept and self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(KEPT, self._tidy)

    def _heard(self, payload: str) -> None:
        if not payload:
            # Notifications were missed, perhaps with the server: another one may know another log.
            self._opened.clear()
            self._resets += 1
            self._end = self._told = 0
            self._looked = -LOOKS_EVERY
        elif (position := int(payload)) <= self._end:
            return
        else:
            self._told = max(self._told, position)
        self.signal.fire()
