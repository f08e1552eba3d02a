"""One face for the in-memory recorder and the one on PostgreSQL, so that one suite holds both to account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from infrastructure.event_store.memory import MemoryRecorder
from infrastructure.event_store.prepared import CredentialRow, Outcome, Prepared
from infrastructure.event_store.recorder import UsersRecorder


class Guarded(Protocol):
    """A recorder with its guards, and what it wrote beside the events."""

    def append(self, batch: Sequence[Prepared]) -> list[Outcome]: ...

    def log(self) -> list[tuple[int, UUID, int]]:
        """Position, stream and version of every event."""

    def names(self) -> dict[tuple[str, bytes], UUID]: ...

    def credential(self, user_id: UUID) -> CredentialRow | None: ...

    def keys(self) -> set[UUID]: ...

    def repeats(self) -> dict[bytes, tuple[bytes, int, UUID, int, datetime]]:
        """By the digest of a key: the request's, the status, the user, the position, and until when."""


class InMemory:
    def __init__(self) -> None:
        self.recorder = MemoryRecorder()
        self.append = self.recorder.append

    def log(self) -> list[tuple[int, UUID, int]]:
        rows = self.recorder.select_notifications(None, 100_000)
        return [(row.id, UUID(str(row.originator_id)), row.originator_version) for row in rows]

    def names(self) -> dict[tuple[str, bytes], UUID]:
        return dict(self.recorder.names)

    def credential(self, user_id: UUID) -> CredentialRow | None:
        return self.recorder.credentials.get(user_id)

    def keys(self) -> set[UUID]:
        return set(self.recorder.user_keys)

    def repeats(self) -> dict[bytes, tuple[bytes, int, UUID, int, datetime]]:
        return {
            digest: (row.request, row.status, user_id, position, row.expires_at)
            for digest, (row, user_id, position) in self.recorder.repeats.items()
        }


class OnPostgres:
    def __init__(self, conninfo: str, recorder: UsersRecorder) -> None:
        self._conninfo = conninfo
        self.append = recorder.append

    def log(self) -> list[tuple[int, UUID, int]]:
        return self._rows("SELECT position, stream_id, version FROM events ORDER BY position")

    def names(self) -> dict[tuple[str, bytes], UUID]:
        return {
            (kind, bytes(digest)): holder
            for kind, digest, holder in self._rows("SELECT kind, digest, user_id FROM names")
        }

    def credential(self, user_id: UUID) -> CredentialRow | None:
        query = "SELECT secret_hash, epoch, status, role, verified FROM credentials WHERE user_id = %s"
        rows = self._rows(query, user_id)
        return CredentialRow(*rows[0]) if rows else None

    def keys(self) -> set[UUID]:
        return {row[0] for row in self._rows("SELECT user_id FROM user_keys")}

    def repeats(self) -> dict[bytes, tuple[bytes, int, UUID, int, datetime]]:
        query = "SELECT digest, request, status, user_id, position, expires_at FROM idempotency_keys"
        return {bytes(digest): (bytes(request), *rest) for digest, request, *rest in self._rows(query)}

    def _rows(self, query: str, *parameters: object) -> list[Any]:
        with psycopg.connect(self._conninfo) as connection:
            return list(connection.execute(query.encode(), parameters))


@contextmanager
def recorder_on(conninfo: str) -> Iterator[UsersRecorder]:
    """The library's way to a migrated database."""
    at = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    with PostgresDatastore(
        at["dbname"],
        at["host"],
        at.get("port", "5432"),
        at["user"],
        at.get("password", ""),
        pool_size=4,
        max_overflow=8,
    ) as datastore:
        yield UsersRecorder(datastore)
