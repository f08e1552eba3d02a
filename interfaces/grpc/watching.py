"""`users.v1.UsersService/WatchUsers`: the public messages from a position on, read from the log itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import aclosing
from typing import Protocol

from application.ports import Recorded, Unreadable
from domain.errors import Unavailable
from interfaces.events.published import message_of, render
from interfaces.events.telling import Pii
from interfaces.grpc.errors import BeyondTheLog, TooManyWatchers, invalid
from interfaces.grpc.stubs.users.v1.users_pb2 import Change, WatchUsersReq, WatchUsersRes

PAGE = 100
"""Events that are in memory at once for each that watches."""

MOST_WATCHERS = 100
MOST_OF_ONE = 20
"""That one caller may have of them."""

BELIEVED = 1.0
"""Seconds after which it is asked again whether a watcher may go on, before it is told anything more."""

POLL = 1.0
"""Seconds after which the log is looked at even if nothing was notified: covers a lost wake-up."""

SAYS_SO_EVERY = 15.0
"""Seconds of silence after which a watcher is told the position again: so it knows that it still listens."""

LAST_POSITION = 2**62

Still = Callable[[], Awaitable[Hashable]]
"""Who watches, which is the same every time; raises where they may not go on."""


class Changes(Protocol):
    """The log, as whoever follows it sees it."""

    async def head(self) -> int:
        """The position of the last event. Raises Unavailable."""

    async def page(self, after: int, limit: int) -> Sequence[Recorded | Unreadable]:
        """The next events in order, none left out. Raises Unavailable."""

    async def wait(self, within: float) -> bool:
        """Until something was appended, or so many seconds have passed."""


class Held(Unavailable):
    code = "held"

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The event at position {position} cannot be read; an operator has to look at it.",
            retry_after=60,
        )


class Watching:
    """Tells each watcher everything after its position, at the pace at which it reads."""

    def __init__(self, changes: Changes, pii: Pii) -> None:
        self._changes = changes
        self._pii: Pii = pii
        self._watchers: Counter[Hashable] = Counter()

    async def watch(self, request: WatchUsersReq, still: Still) -> AsyncGenerator[WatchUsersRes, None]:
        """Goes on until its caller leaves or `still` raises."""
        if request.after > LAST_POSITION:
            raise invalid("after", "There is no such position.")
        caller = await still()
        if self._watchers.total() >= MOST_WATCHERS:
            raise TooManyWatchers(retry_after=1)
        if self._watchers[caller] >= MOST_OF_ONE:
            raise TooManyWatchers("This caller has too many watchers; one has to end first.", retry_after=1)
        self._watchers[caller] += 1
        try:
            if request.after > await self._changes.head():
                raise BeyondTheLog
            async with aclosing(self._follow(request.after, still)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            self._watchers[caller] -= 1
            # Does not remember everybody who ever watched.
            self._watchers += Counter()

    async def _follow(self, position: int, still: Still) -> AsyncGenerator[WatchUsersRes, None]:
        caught_up, told, said = False, position, time.monotonic()
        believed = said
        while True:
            page = await self._changes.page(position, PAGE)
            for event in page:
                # Its reader may have taken its time over the one before.
                if time.monotonic() - believed > BELIEVED:
                    await still()
                    believed = time.monotonic()
                position, answer = event.position, self._answer(event)
                if answer is not None:
                    yield answer
                    told, said = position, time.monotonic()
            if not page:
                if not caught_up or told != position or time.monotonic() - said > SAYS_SO_EVERY:
                    yield WatchUsersRes(position=position)
                    caught_up, told, said = True, position, time.monotonic()
                await self._changes.wait(POLL)
            await still()
            believed = time.monotonic()

    def _answer(self, event: Recorded | Unreadable) -> WatchUsersRes | None:
        if isinstance(event, Unreadable):
            raise Held(event.position)
        message = message_of(event)
        if message is None:
            return None
        return WatchUsersRes(
            position=event.position,
            change=Change(
                user_id=str(event.user_id),
                version=event.version,
                type=message.type,
                cloud_event=render(event, self._pii),
            ),
        )
