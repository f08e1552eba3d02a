"""The library's ProjectionRunner keeping the same table from the same log, one transaction per event."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from domain.user import User
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.mapper import EventMapper
from infrastructure.event_store.recorder import UsersRecorder
from projections.users.projector import Users, row

TABLE = "library_users"

_UPSERT = SQL("""
INSERT INTO {} AS present VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document, card = excluded.card
WHERE present.version < excluded.version""").format(Identifier(TABLE))

KEYRING: list[Keyring] = []
"""The keyring of the log that is measured; the library makes the mapper itself and gives it nothing."""

KEYS: dict[UUID, tuple[int, bytes]] = {}


class LibraryRecorder(UsersRecorder):
    """Our recorder, as the library's factory constructs one."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "events") -> None:
        super().__init__(datastore)


class LibraryMapper(EventMapper):
    """Our mapper, as the library's factory constructs one."""

    def __init__(self, **_: Any) -> None:
        super().__init__(lambda user_id: KEYRING[0].user_key(user_id, *KEYS[user_id]))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return super().to_domain_event(stored_event)


class Log(Application[UUID]):
    name = "log"


class View(PostgresTrackingRecorder):
    """The same table; one row and its tracking in a transaction, as the library's manual shows it."""

    def put(self, user: User, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(_UPSERT, row(user), prepare=True)


class UsersProjection(Projection[View]):
    name = "library"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        recorded: Recorded = domain_event
        user = Users().fold(recorded.user_id, None, [recorded])
        assert isinstance(user, User)
        self.view.put(user, tracking)


def events_per_second(conninfo: str, keyring: Keyring, events: int) -> float:
    """Project the first events of the log; how many a second."""
    KEYRING[:] = [keyring]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}, library_tracking".encode())
        connection.execute(Users().table(TABLE).encode())
        for index in Users().indexes(TABLE):
            connection.execute(index.encode())
        rows = connection.execute("SELECT user_id, epoch, wrapped FROM user_keys")
        KEYS.update({user_id: (epoch, bytes(wrapped)) for user_id, epoch, wrapped in rows})
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Log, projection_class=UsersProjection, view_class=View, env=_environment(conninfo)
    ) as runner:
        runner.wait(events, timeout=120)
        return events / (time.perf_counter() - started)


def _environment(conninfo: str) -> dict[str, str]:
    parts = conninfo_to_dict(conninfo)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts.get("port") or 5432),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": "",
        "LOG_APPLICATION_RECORDER_TOPIC": f"{__name__}:LibraryRecorder",
        "LOG_MAPPER_TOPIC": f"{__name__}:LibraryMapper",
    }
