"""The eventsourcing library's recorder over our append: one function, one round trip, gap-free positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.sql import SQL

from infrastructure.event_store.prepared import APPEND, Outcome, Prepared, parameters

_SELECT_STREAM = SQL(
    "SELECT stream_id, version, name, state FROM events WHERE stream_id = %s"
    " AND version > coalesce(%s, -1) AND version <= coalesce(%s, 9223372036854775807) ORDER BY version"
)
_SELECT_LOG = SQL(
    "SELECT position, stream_id, version, name, state FROM events"
    " WHERE position >= %s AND position <= coalesce(%s, 9223372036854775807)"
    " AND (%s::text[] IS NULL OR name = ANY(%s)) ORDER BY position LIMIT %s"
)


class UsersRecorder(PostgresApplicationRecorder):
    """The synchronous way to the log, for the command line and the library's own machinery.

    The tables come from our migrations; the library makes none.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name="events")
        self.sql_create_statements.clear()
        self.channel_name = "usersd_events"

    def append(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """Append commands in order, each whole or not at all."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(SQL(APPEND), parameters(batch), prepare=True)
            return [Outcome(row["outcome"], row["detail"], row["reached"]) for row in cursor]

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """All of the events or none, as the library's contract has it. Raises IntegrityError."""
        streams: dict[Any, list[StoredEvent]] = {}
        for event in stored_events:
            streams.setdefault(event.originator_id, []).append(event)
        positions: dict[tuple[Any, int], int] = {}
        with self.datastore.transaction(commit=True) as cursor:
            batch = [Prepared(stream_id=key, events=events) for key, events in streams.items()]
            cursor.execute(SQL(APPEND), parameters(batch), prepare=True)
            for item, row in zip(batch, cursor.fetchall(), strict=True):
                if row["outcome"] != "stored":
                    raise IntegrityError(f"a version of stream {item.stream_id} is taken")
                first = row["reached"] - len(item.events) + 1
                for number, event in enumerate(item.events):
                    positions[event.originator_id, event.originator_version] = first + number
        return [positions[event.originator_id, event.originator_version] for event in stored_events]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """A stream's events after `gt` up to `lte`."""
        query = _SELECT_STREAM + SQL(" DESC" if desc else " ASC")
        parameters: list[Any] = [originator_id, gt, lte]
        if limit is not None:
            query += SQL(" LIMIT %s")
            parameters.append(limit)
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters, prepare=True)
            return list(_stored(cursor))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The log from a position on, in order."""
        first = (start or 0) + (0 if inclusive_of_start or start is None else 1)
        names = list(topics) or None
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(_SELECT_LOG, [first, stop, names, names, limit], prepare=True)
            return [
                Notification(
                    id=row["position"],
                    originator_id=row["stream_id"],
                    originator_version=row["version"],
                    topic=row["name"],
                    state=bytes(row["state"]),
                )
                for row in cursor
            ]

    def max_notification_id(self) -> int | None:
        """The position of the last event; None for an empty log."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT max(position) AS head FROM events")
            row = cursor.fetchone()
            return row["head"] if row else None


def _stored(rows: Iterable[dict[str, Any]]) -> Iterable[StoredEvent]:
    for row in rows:
        yield StoredEvent(
            originator_id=row["stream_id"],
            originator_version=row["version"],
            topic=row["name"],
            state=bytes(row["state"]),
        )
