"""Brings the database to the shape this version needs: forward only, safe when ten processes start.

A migration may say that programs before it can go on beside it, by a first line such as

    -- Programs that know 0012 can go on beside this.

so that a newer version can be rolled out while the older one serves. One that does not say so is for new
programs alone: an older one refuses to start.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import msgspec
import psycopg

from infrastructure.postgres.foreign import MigrationError as MigrationError
from infrastructure.postgres.foreign import has_ledger

_LOCK = 7310580243119866
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number      int         PRIMARY KEY,
    name        text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS oldest_program int"""

# A ledger without the column was written before any program could go on beside a newer one.
_APPLIED = """
SELECT number, name, checksum, coalesce((to_jsonb(m)->>'oldest_program')::int, number)
FROM schema_migrations AS m"""

_BESIDE = re.compile(r"-- Programs that know (\d{4}) can go on beside this\.\n")


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def oldest_program(self) -> int:
        """The last migration that a program has to know in order to work on what this one leaves."""
        declared = _BESIDE.match(self.sql)
        return int(declared[1]) if declared else self.number


class Shape(msgspec.Struct, frozen=True):
    """What a database lacks of this version's migrations, and what only newer versions have brought it."""

    missing: list[Migration]
    newer: list[str]


def known() -> list[Migration]:
    """The migrations that this version carries, in order."""
    found = [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in files("infrastructure.postgres").joinpath("migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def migrate(conninfo: str, report: Callable[[str], None] = lambda line: None) -> int:
    """Apply what is missing and return how many migrations that were.

    Raises MigrationError where a migration that was applied has been edited since, where a newer version
    has changed the database so that this one cannot work on it, and where another program's tables are.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        # Polling, not waiting, for the lock: a waiting transaction's snapshot would block
        # CREATE INDEX CONCURRENTLY in the one that holds it.
        while not _one(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            time.sleep(0.05)
        try:
            # A look first, so that nothing is made in a database that is somebody else's.
            has_ledger(connection)
            connection.execute(_LEDGER)
            return _apply(connection, report)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def pending(conninfo: str) -> list[str]:
    """The names of the migrations that the database still lacks. Raises MigrationError as `migrate`."""
    return [migration.name for migration in shape(conninfo).missing]


def shape(conninfo: str) -> Shape:
    """How the database stands to this version; changes nothing. Raises MigrationError as `migrate`."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return _shape(connection)


def _apply(connection: psycopg.Connection, report: Callable[[str], None]) -> int:
    missing = _shape(connection).missing
    for migration in missing:
        report(f"migrating: {migration.name}")
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum, oldest_program) "
                "VALUES (%s, %s, %s, %s)",
                (migration.number, migration.name, migration.checksum, migration.oldest_program),
            )
    return len(missing)


async def shape_now(connection: psycopg.AsyncConnection[Any]) -> Shape:
    """As `shape`, of a database that has been migrated before, over a connection that is there."""
    return _judged(await (await connection.execute(_APPLIED)).fetchall())


def _shape(connection: psycopg.Connection) -> Shape:
    return _judged(connection.execute(_APPLIED).fetchall() if has_ledger(connection) else [])


def _judged(rows: Iterable[tuple[Any, ...]]) -> Shape:
    applied: dict[int, tuple[str, str]] = {}
    newer: dict[int, str] = {}
    ours = {migration.number: migration for migration in known()}
    for number, name, checksum, oldest_program in rows:
        if number in ours:
            applied[number] = name, checksum
        elif oldest_program > max(ours):
            raise MigrationError(
                f"The database was migrated by a newer version ({name} is unknown here), and this one "
                "cannot work on it. Start that version, or restore a backup from before it."
            )
        else:
            newer[number] = name
    for number, (name, checksum) in applied.items():
        if ours[number].checksum != checksum:
            raise MigrationError(
                f"Migration {name} was edited after it was applied. Put the file back as it was; "
                "changes go into a new migration."
            )
    return Shape(
        missing=[migration for number, migration in sorted(ours.items()) if number not in applied],
        newer=[name for _, name in sorted(newer.items())],
    )


def _one(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
