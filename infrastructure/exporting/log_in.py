"""Brings a log into an empty database: one transaction, which ends only when all of it was found to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, LiteralString
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.sql import SQL, Identifier

from application.exporting import ExportBusy, ExportRefused, LogImported, Moved
from application.operations import Progress
from infrastructure.erasure.ledger import Entry, Ledger
from infrastructure.event_store import keyring as rings
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.log import EventReader
from infrastructure.exporting.lines import Header, Reader
from infrastructure.exporting.loading import EMPTY, NAMES, Loading, Table, fill
from infrastructure.exporting.sealing import ExportKey
from infrastructure.exporting.streams import hold
from infrastructure.integrity import checkpointer
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.outside import compare
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from infrastructure.keys.rewrap import ALIVE
from infrastructure.tokens.signing import SigningKey
from projections import tables
from projections.catalogue import READ_MODELS

BATCH = 500
APPEND_LOCK = 7310580243119865

_ALONE = "SELECT pg_try_advisory_xact_lock(%s)"
_HOLD = "SELECT pg_advisory_xact_lock(%s)"
_USERS = "SELECT user_id FROM credentials WHERE user_id > %b ORDER BY user_id LIMIT %b"
_STREAMS = "SELECT (SELECT count(*) FROM events WHERE version = 1), (SELECT count(*) FROM credentials)"
_ERASED = "SELECT user_id, requested_at FROM erasures ORDER BY position"

_CHECKPOINT_KEY = "UPDATE keyring SET wrapped = %s WHERE purpose = 'checkpoint' AND epoch = 1"
_EPOCH = "INSERT INTO keyring (purpose, epoch, wrapped) VALUES ('seal', %s, %s)"
_CLOSE = """
UPDATE keyring SET wrapped = NULL, destroyed_at = now()
WHERE purpose = 'seal' AND epoch < %s AND wrapped IS NOT NULL"""

_FIRST_ADMIN = "INSERT INTO names (kind, digest, user_id) VALUES ('first_admin', '', %s)"

# What happened where the log comes from is history, and is never mailed from here.
_MAILED = "UPDATE reactors SET position = %s WHERE name = 'mails'"

_UNTIMED: tuple[LiteralString, ...] = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL synchronous_commit = on",
)
_ANALYSE: tuple[LiteralString, ...] = ("ANALYZE events", "ANALYZE user_keys", "ANALYZE credentials")


class LogIn:
    """One import into a database. The keyring is of no use any more when it has failed."""

    def __init__(
        self,
        conninfo: str,
        reader: EventReader,
        keyring: Keyring,
        checkpoints: CheckpointFile,
        ledger: Ledger,
    ) -> None:
        self._conninfo = conninfo
        self._reader = reader
        self._keyring = keyring
        self._checkpoints = checkpoints
        self._ledger = ledger

    def read(self, file: BinaryIO, key: ExportKey, name: str, moved: Moved) -> LogImported:
        """Bring all of it in, or leave the database as it is. Raises ExportRefused, LedgerUnusable,
        CheckpointFileUnusable, keyring.RootKeyReplaced, psycopg.Error."""
        reader = Reader(file, key, name)
        header = reader.header()
        with self._alone() as connection:
            self._take_keys(connection, header, key)
            loading = Loading(connection, self._keyring, key)
            loading.load(reader.body(), header.counts, moved)
            # From here on the file is what was written, whole.
            for statement in _ANALYSE:
                connection.execute(statement)
            newer = self._hold_users(connection, header, moved)
            self._verify(connection, header, moved)
            self._settle(connection, header)
            moved(Progress(header.position, header.position, "committing"))
        return LogImported(
            events=header.position,
            users=header.counts.users,
            erased=header.counts.erasures,
            clients=header.counts.clients,
            checkpoints=header.counts.checkpoints,
            newer=newer,
            hash=header.hash,
        )

    @contextmanager
    def _alone(self) -> Iterator[psycopg.Connection]:
        """A transaction on an empty database with nobody else at work. Raises ExportRefused."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection, connection.transaction():
            for statement in _UNTIMED:
                connection.execute(statement)
            row = connection.execute(_ALONE, (ALIVE,)).fetchone()
            if not row or not row[0]:
                raise ExportBusy("A usersd runs on this database: stop every usersd, then try again.")
            for lock in (rings.LOCK, APPEND_LOCK, checkpointer.LOCK):
                connection.execute(_HOLD, (lock,))
            for table in EMPTY:
                self._require_empty(connection, table)
            self._keyring.require_root(connection)
            yield connection

    def _require_empty(self, connection: psycopg.Connection, table: Table) -> None:
        found = SQL("SELECT EXISTS (SELECT FROM {})").format(Identifier(table.name))
        if connection.execute(found).fetchone() == (True,):
            raise ExportRefused(
                f"This database is not empty: there is something in {table.name}. A log comes into an empty "
                "one only, because positions are given once. Name another database or another data "
                "directory; `usersd run` has not been started there."
            )

    def _take_keys(self, connection: psycopg.Connection, header: Header, key: ExportKey) -> None:
        """The key that goes on signing checkpoints, and a sealing epoch that none of the old ones equals."""
        try:
            carried = key.unseal(header.checkpoint_key, b"checkpoint key")
            signing = SigningKey(Ed25519PrivateKey.from_private_bytes(carried))
        except (InvalidTag, ValueError):
            raise ExportRefused("The first line of the file was altered: take another copy.") from None
        self._kid = signing.kid
        connection.execute(_CHECKPOINT_KEY, (self._keyring.wrap(carried, "checkpoint/1"),))
        if header.closed_epoch:
            # Certificates name the epochs of where the log comes from: none of those is here.
            epoch = max(header.closed_epoch, self._keyring.epoch) + 1
            connection.execute(_EPOCH, (epoch, self._keyring.begun(epoch)))
            connection.execute(_CLOSE, (epoch,))

    def _hold_users(self, connection: psycopg.Connection, header: Header, moved: Moved) -> int:
        """Hold every stream against its seals and its chain, and reserve the names that it tells."""
        if connection.execute(_STREAMS).fetchone() != (header.counts.users, header.counts.users):
            raise ExportRefused("There are events of users without credentials: the log is not whole.")
        done = newer = 0
        after = UUID(int=0)
        while users := [user for (user,) in connection.execute(_USERS, (after, BATCH), binary=True)]:
            held = hold(connection, self._reader, self._keyring, users)
            newer += sum(user.newer for user in held.values())
            names = [(kind, digest, user) for user, found in held.items() for kind, digest in found.names]
            try:
                fill(connection, NAMES, names)
            except psycopg.errors.UniqueViolation:
                raise ExportRefused(
                    "Two users of the log hold one name: it is not what was written."
                ) from None
            after, done = users[-1], done + len(users)
            moved(Progress(done, header.counts.users, "opening every seal", "users"))
        if header.first_admin is not None:
            connection.execute(_FIRST_ADMIN, (header.first_admin,))
        return newer

    def _verify(self, connection: psycopg.Connection, header: Header, moved: Moved) -> None:
        witnesses = Witnesses(connection, None, self._kid)
        walked = Walk(
            connection,
            witnesses,
            progress=lambda walked: moved(Progress(walked.done, walked.total, "verifying every hash")),
        ).verify()
        if walked.findings:
            found = walked.findings[0]
            raise ExportRefused(
                f"The log of the file does not hold: at position {found.position}, {found.meaning}. It did "
                "not where it comes from, and `usersd events verify` tells more there."
            )
        if (walked.events, walked.hash) != (header.position, header.hash):
            raise ExportRefused("The events of the file are not those that its first line tells of.")
        if self._checkpoints.exists and compare(connection, self._checkpoints).beyond:
            raise ExportRefused(
                f"{self._checkpoints.path} holds checkpoints of another log, or of more than this one: a "
                "service would not start beside it. Name another data directory, or "
                "an export of that log which is as new."
            )

    def _settle(self, connection: psycopg.Connection, header: Header) -> None:
        connection.execute(_MAILED, (header.position,))
        if header.position:
            # A first generation that is live and empty would be read before it is whole.
            for model in READ_MODELS:
                tables.drop_version(connection, model.name, model.version)
        # Before the end, since whoever stands there has been erased whatever becomes of this import.
        known, _ = self._ledger.entries()
        rows: list[Any] = connection.execute(_ERASED).fetchall()
        for user_id, requested_at in rows:
            if user_id not in known:
                self._ledger.note(Entry(user_id, requested_at))


def opened(source: Path) -> BinaryIO:
    """A file to read from. Raises ExportRefused."""
    try:
        return source.open("rb", buffering=1 << 20)
    except OSError as error:
        raise ExportRefused(f"{source} cannot be read: {error.strerror}.") from None
