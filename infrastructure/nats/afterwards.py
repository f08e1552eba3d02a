"""Users as they were after each event of the log, for forms whose messages tell more than the event does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

import psycopg

from application.ports import Recorded, Unreadable
from domain.user import User, evolve
from infrastructure.event_store.log import EventReader

REMEMBERED = 2000
"""Users kept in memory, so that those who change often are not read anew for every page."""


class Afterwards:
    """Folds along with the log. Every event has to pass through, in order."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        # None: forgotten between the reading of a page and that of the history.
        self._users: OrderedDict[UUID, User | None] = OrderedDict()

    async def prepare(
        self, connection: psycopg.AsyncConnection, page: Sequence[Recorded | Unreadable]
    ) -> None:
        """Read what came before a page, of those users who are not in memory."""
        while len(self._users) > REMEMBERED:
            self._users.popitem(last=False)
        first: dict[UUID, Recorded] = {}
        for event in page:
            if isinstance(event, Recorded) and not event.forgotten:
                first.setdefault(event.user_id, event)
        unknown = [user for user, event in first.items() if not self._knows(event)]
        streams = await self._reader.read_streams(connection, unknown) if unknown else {}
        for user_id, stream in streams.items():
            self._users[user_id] = self._before(first[user_id], stream)

    def after(self, event: Recorded) -> User | None:
        """The user after the event; None where they are forgotten by now."""
        if event.forgotten:
            self._users.pop(event.user_id, None)
            return None
        before = User(id=event.user_id) if event.version == 1 else self._users.pop(event.user_id)
        after = evolve(before, event.event) if before is not None else None
        self._users[event.user_id] = after
        return after

    def _knows(self, event: Recorded) -> bool:
        return event.version == 1 or event.user_id in self._users

    def _before(self, event: Recorded, stream: Sequence[Recorded | Unreadable]) -> User | None:
        user = User(id=event.user_id)
        for earlier in stream[: event.version - 1]:
            # An event that cannot be read has held the relay when it was its turn.
            assert isinstance(earlier, Recorded)
            if earlier.forgotten:
                return None
            user = evolve(user, earlier.event)
        return user
