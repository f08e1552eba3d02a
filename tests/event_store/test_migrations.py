"""Migrations: many processes at once, edited files, newer databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from infrastructure.postgres import migrate as module
from infrastructure.postgres.migrate import MigrationError, known, migrate, pending
from tests.support.databases import Databases

PREPARE = """
import sys
from infrastructure.standing import prepare
from tests.support.databases import standing
sys.stdin.read(1)
prepare(standing(sys.argv[1]))
"""


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[str]:
    """A database without a single table."""
    name = Identifier("usersd_test_empty")
    admin = make_conninfo(databases.server, dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(name))
        yield make_conninfo(databases.server, dbname="usersd_test_empty")
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_ten_processes_that_start_at_once_all_succeed(empty_database: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, empty_database], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(10)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()
    for process in started:
        _, complaint = process.communicate()
        assert (process.returncode, complaint) == (0, b"")
    with psycopg.connect(empty_database) as connection:
        applied = connection.execute("SELECT name FROM schema_migrations ORDER BY number").fetchall()
    assert [row[0] for row in applied] == [migration.name for migration in known()]


def test_migrations_are_told_as_they_are_applied_and_applied_once(empty_database: str) -> None:
    names = [migration.name for migration in known()]
    assert pending(empty_database) == names
    lines: list[str] = []
    assert migrate(empty_database, lines.append) == len(names)
    assert lines == [f"migrating: {name}" for name in names]
    assert migrate(empty_database, lines.append) == 0
    assert pending(empty_database) == []


def test_numbers_of_migrations_count_up_without_a_gap() -> None:
    assert [migration.number for migration in known()] == list(range(1, len(known()) + 1))


def test_an_edited_migration_is_refused_by_name(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE schema_migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(MigrationError, match=known()[0].name):
        migrate(database)
    with pytest.raises(MigrationError, match="edited"):
        pending(database)


def test_the_database_of_a_newer_version_is_refused(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, '9999_from_the_future', 'x')")
    with pytest.raises(MigrationError, match="9999_from_the_future"):
        migrate(database)


def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = module.Migration(1, "0001_broken", "CREATE TABLE half (); SELECT 1 / 0")
    monkeypatch.setattr(module, "known", lambda: [broken])
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert pending(empty_database) == ["0001_broken"]
