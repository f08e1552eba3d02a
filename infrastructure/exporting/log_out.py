"""Writes the log in its canonical form, in one snapshot, and looks at all of it on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidTag
from psycopg import IsolationLevel
from psycopg.rows import dict_row

from application.exporting import ExportRefused, Moved
from application.operations import Progress
from infrastructure.erasure.certificate import CertificateInvalid, verified
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.log import EventReader
from infrastructure.exporting.lines import (
    FORMAT,
    VERSION,
    Body,
    CheckpointLine,
    ClientLine,
    Counts,
    DiscardedLine,
    ErasureLine,
    EventLine,
    Header,
    SignerLine,
    UserLine,
    Writer,
)
from infrastructure.exporting.sealing import ExportKey
from infrastructure.exporting.streams import Held, hold
from infrastructure.integrity.rolling import BEGINNING, PositionsMissing, Rolled, rolled_on

BATCH = 500
"""Users whose streams are looked at together."""

_COUNTS: LiteralString = """
SELECT (SELECT count(*) FROM events) AS events, (SELECT coalesce(max(position), 0) FROM events) AS position,
       (SELECT count(*) FROM events WHERE version = 1) AS streams,
       (SELECT count(*) FROM credentials) AS users, (SELECT count(*) FROM erasures) AS erasures,
       (SELECT count(*) FROM clients) AS clients, (SELECT count(*) FROM log_checkpoints) AS checkpoints,
       (SELECT count(*) FROM discarded_events) AS discarded,
       (SELECT user_id FROM names WHERE kind = 'first_admin') AS first_admin,
       greatest((SELECT max(epoch) FROM user_keys WHERE destroyed_at IS NOT NULL),
                (SELECT max(key_epoch) FROM erasures), 0) AS closed_epoch"""

_EVENTS: LiteralString = """
SELECT position, stream_id, version, name, state, prev_hash, hash FROM events ORDER BY position"""

_USERS: LiteralString = """
SELECT user_id, k.epoch AS key_epoch, k.wrapped, k.destroyed_at, c.secret_hash, c.epoch, c.status, c.role,
       c.verified, c.since, c.changed, c.changed_at
FROM credentials c FULL JOIN user_keys k USING (user_id) ORDER BY user_id"""

_NAMES = "SELECT user_id, kind, digest FROM names WHERE user_id = ANY(%b) AND kind <> 'first_admin'"

_ERASURES: LiteralString = """
SELECT user_id, position, requested_at, key_epoch, noted_at, removed, messages, cleared, cleared_at,
       certificate, certified_at
FROM erasures ORDER BY position"""

_CLIENTS: LiteralString = """
SELECT id, name, scopes, secret_hash, previous_hash, previous_until, created_at, rotated_at, revoked_at
FROM clients ORDER BY id"""

_CHECKPOINTS: LiteralString = "SELECT number, checkpoint FROM log_checkpoints ORDER BY number"

_DISCARDED: LiteralString = """
SELECT projection, version, position, user_id, event_version, event_name, reason, by, at
FROM discarded_events ORDER BY projection, version, position"""

_KNOWN = "SELECT kid FROM signing_keys UNION SELECT kid FROM retired_signing_keys"
_CERTIFICATES: LiteralString = "SELECT certificate FROM erasures WHERE certificate IS NOT NULL"


class LogOut:
    """One export of the log of a database."""

    def __init__(self, conninfo: str, reader: EventReader, keyring: Keyring, key: ExportKey) -> None:
        self._conninfo = conninfo
        self._reader = reader
        self._keyring = keyring
        self._key = key

    def write(self, writer: Writer, moved: Moved) -> Header:
        """Write all of it; the header. Raises ExportRefused, OSError, psycopg.Error."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                # What is written is the same whatever the session is set to.
                connection.execute("SET LOCAL TimeZone = 'UTC'")
                connection.execute("SET LOCAL cursor_tuple_fraction = 1")
                return self._write(connection, writer, moved)

    def _write(self, connection: psycopg.Connection, writer: Writer, moved: Moved) -> Header:
        signers = self._signers(connection)
        header = self._header(connection, len(signers))
        sections: Sequence[tuple[str, int, Iterable[Body]]] = (
            ("signers", len(signers), [SignerLine(kid=kid) for kid in signers]),
            ("events", header.position, _lines(connection, _EVENTS, EventLine)),
            ("users", header.counts.users, self._users(connection)),
            ("erasures", header.counts.erasures, _lines(connection, _ERASURES, ErasureLine)),
            ("clients", header.counts.clients, _lines(connection, _CLIENTS, self._client)),
            ("checkpoints", header.counts.checkpoints, _lines(connection, _CHECKPOINTS, CheckpointLine)),
            ("discarded", header.counts.discarded, _lines(connection, _DISCARDED, DiscardedLine)),
        )
        writer.put(header)
        for name, total, lines in sections:
            done = 0
            for done, line in enumerate(lines, start=1):
                writer.put(line)
                if done % 5000 == 0:
                    moved(Progress(done, total, f"writing {name}", name))
            if done:
                moved(Progress(done, total, f"writing {name}", name))
        writer.end()
        return header

    def _header(self, connection: psycopg.Connection, signers: int) -> Header:
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(_COUNTS).fetchone()
        assert found is not None
        position, streams = found.pop("position"), found.pop("streams")
        first_admin, closed_epoch = found.pop("first_admin"), found.pop("closed_epoch")
        try:
            rolled = rolled_on(connection, Rolled(0, BEGINNING), position)
        except PositionsMissing:
            rolled = Rolled(-1, BEGINNING)
        if rolled.position != position or found["events"] != position or streams != found["users"]:
            raise ExportRefused(
                "The log has gaps, or users without credentials: it is not what was written, and no other "
                "database would take it. `usersd events verify` tells more."
            )
        return Header(
            format=FORMAT,
            version=VERSION,
            key=self._key.id,
            position=position,
            hash=rolled.hash.hex(),
            counts=Counts(signers=signers, **found),
            first_admin=first_admin,
            closed_epoch=closed_epoch,
            checkpoint_key=self._key.seal(self._keyring.checkpoint_key, b"checkpoint key"),
        )

    def _users(self, connection: psycopg.Connection) -> Iterator[UserLine]:
        rows = _rows(connection, _USERS)
        while batch := list(itertools.islice(rows, BATCH)):
            users = [row["user_id"] for row in batch]
            held = hold(connection, self._reader, self._keyring, users)
            self._compare_names(connection, held)
            for row in batch:
                yield self._user(row)

    def _user(self, row: dict[str, Any]) -> UserLine:
        user_id, wrapped, secret_hash = row["user_id"], row.pop("wrapped"), row.pop("secret_hash")
        if row["epoch"] is None or (wrapped is None) is not (row["destroyed_at"] is not None):
            raise ExportRefused(
                f"User {user_id} has no credentials or no key, and was not erased: only part of this "
                "database was restored. Restore all of it from one backup."
            )
        key = None
        if wrapped is not None:
            try:
                plain = self._keyring.unwrapped(user_id, row["key_epoch"], wrapped)
            except (InvalidTag, KeyError):
                raise ExportRefused(f"The key of user {user_id} cannot be unwrapped.") from None
            key, row["key_epoch"] = self._key.seal(plain, b"user key", user_id.bytes), None
        if secret_hash is not None:
            secret_hash = self._key.seal(secret_hash.encode(), b"secret hash", user_id.bytes)
        return UserLine(key=key, secret_hash=secret_hash, **row)

    def _compare_names(self, connection: psycopg.Connection, held: dict[UUID, Held]) -> None:
        """Names are made anew by an import, from what the log says: it must say what holds here."""
        rows = connection.execute(_NAMES, (list(held),), binary=True).fetchall()
        found = {(user_id, kind, digest) for user_id, kind, digest in rows}
        said = {(user_id, *name) for user_id, user in held.items() for name in user.names}
        if found == said:
            return
        user_id = next(iter(found ^ said))[0]
        why = (
            "their history holds events of a newer version: export with that version"
            if held[user_id].newer
            else "part of this database was changed or restored alone: restore all of it from one backup"
        )
        raise ExportRefused(f"The names that user {user_id} holds are not those that the log tells: {why}.")

    def _client(self, **row: Any) -> ClientLine:
        for field in ("secret_hash", "previous_hash"):
            if row[field] is not None:
                row[field] = self._key.seal(row[field], field.encode(), row["id"].bytes)
        return ClientLine(**row)

    def _signers(self, connection: psycopg.Connection) -> list[str]:
        """The keys that have signed the certificates, as far as they are known here."""
        known = {kid for (kid,) in connection.execute(_KNOWN)}
        found: set[str] = set()
        for row in _rows(connection, _CERTIFICATES):
            try:
                found.add(verified(row["certificate"])[1])
            except CertificateInvalid:
                continue
        return sorted(found & known)


def _rows(connection: psycopg.Connection, query: LiteralString) -> Iterator[dict[str, Any]]:
    with connection.cursor(name="export", row_factory=dict_row) as cursor:
        cursor.itersize = 2000
        cursor.execute(query, binary=True)
        yield from cursor


def _lines(connection: psycopg.Connection, query: LiteralString, line: Callable[..., Body]) -> Iterator[Body]:
    return (line(**row) for row in _rows(connection, query))
