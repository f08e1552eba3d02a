"""Migrations: many processes at once, edited files, newer databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from infrastructure.postgres import migrate as module
from infrastructure.postgres.migrate import Migration, MigrationError, known, migrate, pending, shape
from infrastructure.standing import prepare, wait_until_prepared
from tests.support.databases import Databases, standing
from tests.support.service import Client

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


def _of_a_newer_version(conninfo: str, oldest_program: int) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO schema_migrations (number, name, checksum, oldest_program) "
            "VALUES (9999, '9999_from_the_future', 'x', %s)",
            (oldest_program,),
        )


def test_a_newer_version_that_lets_older_ones_go_on_is_told_and_gone_on_beside(database: str) -> None:
    _of_a_newer_version(database, oldest_program=known()[-1].number)
    for start in (prepare, wait_until_prepared):
        lines: list[str] = []
        start(standing(database), lines.append)
        (line,) = lines
        assert "newer version" in line
        assert "9999_from_the_future" in line
    assert pending(database) == []
    assert shape(database).newer == ["9999_from_the_future"]


def test_a_newer_version_that_leaves_older_ones_behind_ends_the_waiting_too(database: str) -> None:
    _of_a_newer_version(database, oldest_program=known()[-1].number + 1)
    for start in (prepare, wait_until_prepared):
        with pytest.raises(MigrationError, match="9999_from_the_future is unknown here"):
            start(standing(database), lambda line: None)


def test_whoever_waits_says_so_once_and_goes_on_when_somebody_has_migrated(empty_database: str) -> None:
    lines: list[str] = []
    migrating: list[threading.Thread] = []

    def heard(line: str) -> None:
        lines.append(line)
        migrating.append(threading.Thread(target=migrate, args=(empty_database,)))
        migrating[-1].start()

    wait_until_prepared(standing(empty_database), heard, look=0.01)
    for thread in migrating:
        thread.join()
    assert lines[0] == f"waiting for `usersd migrate` of this version: {known()[0].name} is still missing"
    # It may look while migrations are going on; each of them is told once at most.
    assert len(lines) == len(set(lines))
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM projections").fetchone() == (True,)


def test_a_ledger_from_before_older_programs_could_go_on_is_read_and_completed(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE schema_migrations DROP COLUMN oldest_program")
    assert pending(database) == []
    assert migrate(database) == 0
    with psycopg.connect(database) as connection:
        connection.execute("SELECT oldest_program FROM schema_migrations")


@pytest.mark.parametrize(
    ("sql", "oldest"),
    [
        ("-- Programs that know 0012 can go on beside this.\nSELECT 1", 12),
        ("-- What it is for.\n-- Programs that know 0012 can go on beside this.\nSELECT 1", 13),
        ("SELECT 1", 13),
    ],
    ids=["declared", "declared too late", "not declared"],
)
def test_the_first_line_says_who_can_go_on(sql: str, oldest: int) -> None:
    assert Migration(13, "0013_any", sql).oldest_program == oldest


FOREIGN = {
    "the tables of some shop": ("CREATE TABLE orders (); CREATE TABLE invoices ()", "invoices, orders"),
    "an events table": ("CREATE TABLE events (id serial PRIMARY KEY, title text)", "events"),
    "the ledger of another tool": (
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)", "schema_migrations",
    ),
    "the users of the service before this one": (
        "CREATE TABLE gorp_migrations (); CREATE TABLE users (); CREATE TABLE a (); CREATE TABLE b ()",
        "a, b, gorp_migrations and 1 more",
    ),
    "a view": ("CREATE VIEW users AS SELECT 1 AS id", "users"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(FOREIGN))
def test_the_database_of_another_program_is_refused_and_left_as_it_is(empty_database: str, what: str) -> None:
    statements, named = FOREIGN[what]
    with psycopg.connect(empty_database) as connection:
        connection.execute(statements.encode())
    before = _catalogue(empty_database)
    for start in (migrate, pending, lambda conninfo: prepare(standing(conninfo))):
        with pytest.raises(MigrationError, match=f"belongs to another program: it holds {named}, and not"):
            start(empty_database)
    assert _catalogue(empty_database) == before


def test_what_an_extension_brought_is_nobody_elses_data(empty_database: str) -> None:
    with psycopg.connect(make_conninfo(empty_database, user="postgres")) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    assert migrate(empty_database) == len(known())


def test_a_schema_of_our_own_is_ours_whatever_lies_in_the_next_one(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE schema_migrations (version bigint); CREATE SCHEMA own")
    ours = make_conninfo(empty_database, options="-c search_path=own,public")
    assert migrate(ours) == len(known())
    assert pending(ours) == []
    with pytest.raises(MigrationError, match="another program"):
        pending(empty_database)


def _catalogue(conninfo: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT relname, relkind::text, relnatts FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace UNION ALL "
            "SELECT proname, 'function', 0 FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
            "UNION ALL SELECT extname, 'extension', 0 FROM pg_extension ORDER BY 1"
        ).fetchall()


@pytest.mark.parametrize(("further", "status"), [(0, 200), (1, 503)], ids=["beside it", "left behind"])
async def test_who_serves_stays_ready_as_long_as_a_newer_version_lets_it_go_on(
    client: Client, database: str, further: int, status: int
) -> None:
    assert (await client.http.get("/readyz")).status_code == 200
    _of_a_newer_version(database, oldest_program=known()[-1].number + further)
    answer = await client.http.get("/readyz")
    assert answer.status_code == status, answer.text
    said = answer.json()["checks"]["schema"]
    assert said == "ok" if status == 200 else "Start that version" in said
