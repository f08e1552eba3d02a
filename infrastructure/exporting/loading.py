"""Puts the lines of a log into the tables of an empty database, by COPY, in the caller's transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from application.exporting import ExportRefused, Moved
from application.operations import Progress
from infrastructure.event_store.keyring import Keyring
from infrastructure.exporting.lines import (
    IN_ORDER,
    Body,
    CheckpointLine,
    ClientLine,
    Counts,
    DiscardedLine,
    ErasureLine,
    EventLine,
    SignerLine,
    UserLine,
)
from infrastructure.exporting.sealing import ExportKey

BATCH = 2000
"""Lines that are put in together."""

# They sign nothing here; what they have signed elsewhere is known by them.
_KNOWN = """
INSERT INTO retired_signing_keys (kid, retired_at) SELECT unnest(%s::text[]), now() ON CONFLICT DO NOTHING"""

Row = Sequence[Any]


class Table(msgspec.Struct, frozen=True):
    """A table, and the columns that are filled, with their types."""

    name: str
    columns: dict[str, str]


EVENTS = Table("events", {
    "position": "int8", "stream_id": "uuid", "version": "int8", "name": "text", "state": "bytea",
    "prev_hash": "bytea", "hash": "bytea",
})  # fmt: skip
USER_KEYS = Table("user_keys", {
    "user_id": "uuid", "epoch": "int4", "wrapped": "bytea", "destroyed_at": "timestamptz",
})  # fmt: skip
CREDENTIALS = Table("credentials", {
    "user_id": "uuid", "secret_hash": "text", "epoch": "int8", "status": "text", "role": "text",
    "verified": "bool", "changed": "int8", "changed_at": "timestamptz", "since": "timestamptz",
})  # fmt: skip
ERASURES = Table("erasures", {
    "user_id": "uuid", "position": "int8", "requested_at": "timestamptz", "key_epoch": "int4",
    "noted_at": "timestamptz", "removed": "jsonb", "messages": "int8", "cleared": "text[]",
    "cleared_at": "timestamptz", "certificate": "text", "certified_at": "timestamptz",
})  # fmt: skip
CLIENTS = Table("clients", {
    "id": "uuid", "name": "text", "scopes": "text[]", "secret_hash": "bytea", "previous_hash": "bytea",
    "previous_until": "timestamptz", "created_at": "timestamptz", "rotated_at": "timestamptz",
    "revoked_at": "timestamptz",
})  # fmt: skip
CHECKPOINTS = Table("log_checkpoints", {"number": "int8", "checkpoint": "text"})
DISCARDED = Table("discarded_events", {
    "projection": "text", "version": "int4", "position": "int8", "user_id": "uuid", "event_version": "int8",
    "event_name": "text", "reason": "text", "by": "text", "at": "timestamptz",
})  # fmt: skip
NAMES = Table("names", {"kind": "text", "digest": "bytea", "user_id": "uuid"})

EMPTY = (EVENTS, NAMES, CREDENTIALS, USER_KEYS, ERASURES, CLIENTS, CHECKPOINTS, DISCARDED)
"""What must hold nothing before a log comes in."""


def fill(connection: psycopg.Connection, table: Table, rows: Iterable[Row]) -> None:
    """COPY rows into a table; their values stand in the order of its columns."""
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        Identifier(table.name), SQL(", ").join(map(Identifier, table.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(list(table.columns.values()))
        for row in rows:
            copy.write_row(row)


class Loading:
    """Takes the lines between the first and the last, and counts them."""

    def __init__(self, connection: psycopg.Connection, keyring: Keyring, key: ExportKey) -> None:
        self._connection = connection
        self._keyring = keyring
        self._key = key
        self._counted: dict[str, int] = dict.fromkeys(IN_ORDER.values(), 0)
        self._takes: dict[type[Any], Callable[[Sequence[Any]], None]] = {
            SignerLine: self._signers,
            EventLine: lambda lines: self._as_it_is(EVENTS, lines),
            UserLine: self._users,
            ErasureLine: self._erasures,
            ClientLine: self._clients,
            CheckpointLine: lambda lines: self._as_it_is(CHECKPOINTS, lines),
            DiscardedLine: lambda lines: self._as_it_is(DISCARDED, lines),
        }

    @property
    def counts(self) -> Counts:
        return Counts(**self._counted)

    def load(self, body: Iterator[Body], expected: Counts, moved: Moved) -> None:
        """Put all of it in. Raises ExportRefused."""
        for kind, lines in itertools.groupby(body, key=type):
            name = IN_ORDER[kind]
            while batch := list(itertools.islice(lines, BATCH)):
                self._take(kind, batch)
                self._counted[name] += len(batch)
                moved(Progress(self._counted[name], getattr(expected, name), f"putting in {name}", name))
        if self.counts != expected:
            raise ExportRefused("The file has other lines than its first one says: it was altered.")

    def _take(self, kind: type[Body], batch: Sequence[Body]) -> None:
        try:
            self._takes[kind](batch)
        except (psycopg.IntegrityError, psycopg.DataError, OverflowError) as error:
            raise ExportRefused(
                f"Lines of the kind {IN_ORDER[kind]} contradict one another ({type(error).__name__}): the "
                "file was altered. Take another copy."
            ) from None
        except (InvalidTag, UnicodeDecodeError):
            raise ExportRefused(
                f"Something sealed among the {IN_ORDER[kind]} does not open: the file was altered. Take "
                "another copy."
            ) from None

    def _as_it_is(self, table: Table, lines: Sequence[Body]) -> None:
        fill(self._connection, table, ([getattr(line, name) for name in table.columns] for line in lines))

    def _signers(self, lines: Sequence[SignerLine]) -> None:
        self._connection.execute(_KNOWN, ([line.kid for line in lines],))

    def _users(self, lines: Sequence[UserLine]) -> None:
        fill(self._connection, USER_KEYS, map(self._key_row, lines))
        fill(self._connection, CREDENTIALS, map(self._credentials_row, lines))

    def _key_row(self, line: UserLine) -> Row:
        if line.key is None:
            return line.user_id, line.key_epoch, None, line.destroyed_at
        plain = self._key.unseal(line.key, b"user key", line.user_id.bytes)
        return line.user_id, *self._keyring.adopted(line.user_id, plain), line.destroyed_at

    def _credentials_row(self, line: UserLine) -> Row:
        secret_hash = None
        if line.secret_hash is not None:
            secret_hash = self._key.unseal(line.secret_hash, b"secret hash", line.user_id.bytes).decode()
        values = {name: getattr(line, name) for name in CREDENTIALS.columns}
        return list((values | {"secret_hash": secret_hash}).values())

    def _erasures(self, lines: Sequence[ErasureLine]) -> None:
        rows = ({name: getattr(line, name) for name in ERASURES.columns} for line in lines)
        fill(
            self._connection,
            ERASURES,
            [list((row | {"removed": Jsonb(row["removed"])}).values()) for row in rows],
        )

    def _clients(self, lines: Sequence[ClientLine]) -> None:
        fill(self._connection, CLIENTS, map(self._client_row, lines))

    def _client_row(self, line: ClientLine) -> Row:
        values = {name: getattr(line, name) for name in CLIENTS.columns}
        for name in ("secret_hash", "previous_hash"):
            if values[name] is not None:
                values[name] = self._key.unseal(values[name], name.encode(), line.id.bytes)
        return list(values.values())
