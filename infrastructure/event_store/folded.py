"""Remembers users whose histories are long, so that a command folds no more than what has come since."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

import msgspec

from domain.user import User
from infrastructure.event_store.keyring import UserKey

LONG = 12
"""So many events are worth remembering what they come to; most users never have as many."""

MAX_USERS = 1000
MAX_BYTES = 16 * 1024
"""Of the events that a remembered user is put together from, the largest."""

MAX_WEIGHT = 1024 * 1024
"""The largest events of all who are remembered together: opened, they may take a hundred times as much."""

KEPT = 60.0
"""Seconds after which nobody is remembered who was not asked for: as long as a destroyed epoch lingers."""


class Folded(msgspec.Struct, frozen=True):
    """A user as of an event, and the row that the log must still hold of it for that to be so."""

    user: User
    position: int
    state: bytes
    key: UserKey


class FoldedUsers:
    """At most MAX_USERS of MAX_WEIGHT, the latest used.

    What is answered is a beginning, never the present state. Whoever uses one compares it with the log and
    reads what follows; a history that was begun alike goes on alike, since nothing in the log ever changes. A
    user who was forgotten is dropped with the next look at their key, and after KEPT seconds at the latest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._users: OrderedDict[UUID, tuple[float, Folded, int]] = OrderedDict()
        self._weight = 0
        self._tidying: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user_id: UUID) -> bool:
        return user_id in self._users

    def get(self, user_id: UUID) -> Folded | None:
        found = self._users.get(user_id)
        return found[1] if found else None

    def remember(self, folded: Folded, largest: int) -> None:
        """Keep a user, the largest of whose events has so many bytes, unless they are not worth it."""
        if folded.user.version < LONG or largest > MAX_BYTES:
            return
        # What was read now is what has come since: the largest event may stand before it.
        known = self._users.get(folded.user.id)
        largest = max(largest, known[2]) if known else largest
        self.forget(folded.user.id)
        self._users[folded.user.id] = (self._clock(), folded, largest)
        self._weight += largest
        while len(self._users) > MAX_USERS or self._weight > MAX_WEIGHT:
            self.forget(next(iter(self._users)))
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(KEPT, self.tidy)

    def forget(self, user_id: UUID) -> None:
        if found := self._users.pop(user_id, None):
            self._weight -= found[2]

    def tidy(self) -> None:
        """Drop whoever was not used for long; the oldest come first."""
        self._tidying = None
        now = self._clock()
        while self._users and now - next(iter(self._users.values()))[0] >= KEPT:
            self.forget(next(iter(self._users)))
        if self._users:
            oldest = next(iter(self._users.values()))[0]
            self._tidying = asyncio.get_running_loop().call_later(KEPT - (now - oldest), self.tidy)
