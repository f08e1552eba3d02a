"""What somebody does who may write to the database as its superuser: no trigger and no chain stops them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg

_COLUMNS = "position, stream_id, version, name, state, prev_hash, hash"
_UNWATCHED = "SET LOCAL session_replication_role = replica"
_UNCHECKED = "ALTER TABLE events DROP CONSTRAINT IF EXISTS events_position_check"


class Tamperer:
    """Changes a log within the connection's transaction; `rechain` and `renumber` cover the tracks."""

    def __init__(self, connection: psycopg.Connection, chance: random.Random) -> None:
        self.connection = connection
        self.chance = chance
        self._do(_UNWATCHED)
        self._do(_UNCHECKED)

    @property
    def positions(self) -> list[int]:
        return [row[0] for row in self._all("SELECT position FROM events ORDER BY 1")]

    def one(self) -> int:
        return self.chance.choice(self.positions)

    def two(self) -> tuple[int, int]:
        first, second = self.chance.sample(self.positions, 2)
        return first, second

    def change_content(self) -> None:
        """Another content, under the hash of the old one."""
        self._do("UPDATE events SET state = state || ' '::bytea WHERE position = %s", self.one())

    def change_name(self) -> None:
        self._do("UPDATE events SET name = 'users.enabled.v9' WHERE position = %s", self.one())

    def change_owner(self) -> None:
        """An event of one user becomes one of somebody else."""
        self._do("UPDATE events SET stream_id = %s WHERE position = %s", uuid4(), self.one())

    def change_hash(self) -> None:
        self._do("UPDATE events SET hash = sha256(hash) WHERE position = %s", self.one())

    def change_link(self) -> None:
        self._do("UPDATE events SET prev_hash = sha256(hash) WHERE position = %s", self.one())

    def remove_event(self) -> None:
        self._do("DELETE FROM events WHERE position = %s", self.one())

    def remove_range(self) -> None:
        low, high = sorted(self.two())
        self._do("DELETE FROM events WHERE position BETWEEN %s AND %s", low, high)

    def remove_stream(self) -> None:
        (stream,) = self._all("SELECT stream_id FROM events WHERE position = %s", self.one())[0]
        self._do("DELETE FROM events WHERE stream_id = %s", stream)

    def truncate(self) -> None:
        """The end of the log is cut off."""
        self._do("DELETE FROM events WHERE position >= %s", self.one())

    def remove_everything(self) -> None:
        self._do("TRUNCATE events")

    def swap_positions(self) -> None:
        first, second = self.two()
        self._do("UPDATE events SET position = -1 WHERE position = %s", first)
        self._do("UPDATE events SET position = %s WHERE position = %s", first, second)
        self._do("UPDATE events SET position = %s WHERE position = -1", second)

    def swap_versions(self) -> None:
        """Two events of one user change places, with everything but their positions."""
        rows = self._all(
            "SELECT stream_id FROM events GROUP BY stream_id HAVING count(*) > 1 ORDER BY stream_id"
        )
        (stream,) = self.chance.choice(rows)
        versions = [row[0] for row in self._all("SELECT version FROM events WHERE stream_id = %s", stream)]
        first, second = self.chance.sample(versions, 2)
        move = "UPDATE events SET version = %s WHERE stream_id = %s AND version = %s"
        for to, at in ((-1, first), (first, second), (second, -1)):
            self._do(move, to, stream, at)

    def add_event(self) -> None:
        """A made-up user in the middle of the log."""
        at = self.one()
        self._do("UPDATE events SET position = -position WHERE position >= %s", at)
        self._do("UPDATE events SET position = 1 - position WHERE position < 0")
        state = b'{"made":"up"}'
        self._do(
            f"INSERT INTO events ({_COLUMNS}) VALUES (%s, %s, 1, 'users.registered.v1', %s, NULL, %s)",
            at, uuid4(), state, hashlib.sha256(state).digest(),
        )  # fmt: skip

    def add_before_the_first(self) -> None:
        """One event more for a user, where nobody who reads the log in order comes by."""
        stream, version = self._all(
            "SELECT stream_id, max(version) FROM events WHERE position = ANY(%s) GROUP BY stream_id LIMIT 1",
            self.positions,
        )[0]
        self._do(
            f"INSERT INTO events ({_COLUMNS}) VALUES (%s, %s, %s, 'users.enabled.v1', %s, NULL, sha256(''))",
            self.chance.choice((0, -1_000_000)), stream, version + 1, b'{"made":"up"}',
        )  # fmt: skip

    def rechain(self) -> None:
        """Compute every hash anew, as the append does."""
        last: dict[UUID, bytes] = {}
        for position, stream, version, name, state, _, _ in self._all(
            f"SELECT {_COLUMNS} FROM events ORDER BY stream_id, version"
        ):
            before = last.get(stream)
            text = (before or b"") + stream.bytes + version.to_bytes(8, signed=True) + name.encode() + b"\0"
            last[stream] = hashlib.sha256(text + state).digest()
            self._do(
                "UPDATE events SET prev_hash = %s, hash = %s WHERE position = %s",
                before, last[stream], position,
            )  # fmt: skip

    def renumber(self) -> None:
        """Close every gap, in positions and in versions."""
        self._do("UPDATE events SET position = -position")
        self._do(
            "UPDATE events e SET position = n.number FROM (SELECT position,"
            " row_number() OVER (ORDER BY position DESC) AS number FROM events) AS n"
            " WHERE n.position = e.position"
        )
        self._do("UPDATE events SET version = -version")
        self._do(
            "UPDATE events e SET version = n.number FROM (SELECT position, row_number()"
            " OVER (PARTITION BY stream_id ORDER BY version DESC) AS number FROM events) AS n"
            " WHERE n.position = e.position"
        )

    def forget_checkpoints(self) -> None:
        """Take away what the database itself holds against the tamperer."""
        self._do("DELETE FROM log_checkpoints")

    def rows(self) -> list[Any]:
        return self._all(f"SELECT {_COLUMNS} FROM events ORDER BY position")

    def _do(self, statement: str, *values: object) -> None:
        self.connection.execute(statement.encode(), values)

    def _all(self, query: str, *values: object) -> list[Any]:
        return self.connection.execute(query.encode(), values, binary=True).fetchall()


MANIPULATIONS: dict[str, Callable[[Tamperer], None]] = {
    "an event's content is changed": Tamperer.change_content,
    "an event's name is changed": Tamperer.change_name,
    "an event is given to somebody else": Tamperer.change_owner,
    "an event's hash is changed": Tamperer.change_hash,
    "an event's link is changed": Tamperer.change_link,
    "an event is removed": Tamperer.remove_event,
    "events are removed": Tamperer.remove_range,
    "a user is removed": Tamperer.remove_stream,
    "the end is cut off": Tamperer.truncate,
    "everything is removed": Tamperer.remove_everything,
    "two events change places": Tamperer.swap_positions,
    "two versions of a user change places": Tamperer.swap_versions,
    "an event is added": Tamperer.add_event,
    "an event is added before the first": Tamperer.add_before_the_first,
}
