"""Looks at a read model while everything goes wrong, as whoever lists users does."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import psycopg

from tests.soak.ground import Ground

_HEAD = "SELECT coalesce(max(position), 0) FROM events"


class Witness:
    """Looks at the view of `users` all the time: nobody may ever be shown less of a user than before."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._seen: dict[UUID, int] = {}
        self.outages: list[list[float]] = []
        self.looks = 0
        self.head = 0
        self.wrong: list[str] = []

    def look(self) -> None:
        """Look once; where the database is away, remember since when."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._ground.connect()
            rows = self._connection.execute("SELECT id, version FROM users_v1").fetchall()
            ((self.head,),) = self._connection.execute(_HEAD).fetchall()
        except psycopg.Error:
            if not self.outages or len(self.outages[-1]) == 2:
                self.outages.append([time.time()])
            return
        if self.outages and len(self.outages[-1]) == 1:
            self.outages[-1].append(time.time())
        self.looks += 1
        for user_id, version in rows:
            if version < self._seen.get(user_id, 0):
                self.wrong.append(f"{user_id} was shown at {version} after {self._seen[user_id]}")
            self._seen[user_id] = version

    def leave(self) -> None:
        """Look no more."""
        if self._connection is not None:
            self._connection.close()

    def length_of(self, begin: float, end: float) -> float:
        """Seconds between two times, without the outages."""
        away = (
            (max(begin, outage[0]), min(end, outage[-1] if len(outage) == 2 else end))
            for outage in self.outages
        )
        return end - begin - sum(max(0.0, until - since) for since, until in away)
