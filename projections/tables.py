"""Makes and drops the tables of read models, and points their views: the only DDL outside the migrations."""

from __future__ import annotations

import time
from contextlib import suppress

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from projections.readmodel import ReadModel, suffixes, table_name, view_name

_LOCK = 7310580243119869

PATIENCE = 0.1
"""Seconds for which a drop waits for a lock before it steps back: fewer than after which PostgreSQL ends
one of two who wait for one another."""

STEPS_BACK = 100

_NEWEST = "SELECT coalesce(max(generation), 0) FROM projections WHERE name = %s AND version = %s"

_UNFINISHED = """
SELECT generation FROM projections
WHERE name = %s AND version = %s AND NOT live AND left_at IS NULL AND paused_at IS NULL
ORDER BY generation DESC LIMIT 1"""

_GIVEN_UP = """
SELECT generation FROM projections
WHERE name = %s AND version = %s AND NOT live AND left_at IS NULL AND paused_at IS NOT NULL"""

_OLD = """
SELECT generation FROM projections
WHERE name = %s AND version = %s AND NOT live AND left_at IS NOT NULL
ORDER BY left_at DESC"""

# Nobody keeps them up to date any more, nor has a moment ago.
_OLDER = """
SELECT version, generation FROM projections AS p WHERE name = %(name)s AND version < %(version)s
AND EXISTS (SELECT FROM projections WHERE name = %(name)s AND version = %(version)s AND live)
AND NOT EXISTS (
    SELECT FROM projections WHERE (name, version) = (p.name, p.version)
    AND (paused_at IS NOT NULL OR owner IS NOT NULL AND lease_until > now() - interval '10 s'))
ORDER BY version, generation"""

_RELATIONS = """
SELECT relname, relkind = 'v' FROM pg_class
WHERE relkind IN ('r', 'v') AND relnamespace = current_schema()::regnamespace AND relname ~ %s
ORDER BY relkind = 'v' DESC"""

_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"

_INSERT = "INSERT INTO projections (name, version, generation, state) VALUES (%s, %s, %s, %s)"

_OF_A_GENERATION = (
    ("projections", "name"),
    ("parked_streams", "projection"),
    ("projection_differences", "projection"),
)

_EMPTY_LOG = "SELECT NOT EXISTS (SELECT FROM events)"


def ensure(connection: psycopg.Connection, model: ReadModel) -> bool:
    """Make the first generation of a read model, live, where the log is empty. True if made.

    Where it is not, a projector builds the first generation, and nothing is read of it until it is whole.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if _one(connection, _NEWEST, model.name, model.version) or not _one(connection, _EMPTY_LOG):
            return False
        table = table_name(model, 1)
        connection.execute(model.table(table).encode())
        for index in model.indexes(table):
            connection.execute(index.encode())
        connection.execute(_INSERT, (model.name, model.version, 1, "live"))
        for statement in showing(model, 1):
            connection.execute(statement)
        return True


def begin(connection: psycopg.Connection, model: ReadModel) -> int:
    """A new generation beside the live one, without its indexes; an unfinished one is taken up again.

    One that is paused is not: it would be read, and nobody would keep it up to date. It goes.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if row := connection.execute(_UNFINISHED, (model.name, model.version)).fetchone():
            return int(row[0])
        generation = _one(connection, _NEWEST, model.name, model.version) + 1
        for (paused,) in connection.execute(_GIVEN_UP, (model.name, model.version)).fetchall():
            drop(connection, model, paused)
        connection.execute(model.table(table_name(model, generation)).encode())
        connection.execute(_INSERT, (model.name, model.version, generation, "building"))
        return generation


def showing(model: ReadModel, generation: int) -> list[Composed]:
    """The SQL that points the views at a generation."""
    view, table = view_name(model), table_name(model, generation)
    return [
        SQL("CREATE OR REPLACE VIEW {} AS SELECT * FROM {}").format(
            Identifier(view + suffix), Identifier(table + suffix)
        )
        for suffix in suffixes(model)
    ]


def old(connection: psycopg.Connection, model: ReadModel) -> list[int]:
    """The generations that were live before the present one, the one that was live last first."""
    return [row[0] for row in connection.execute(_OLD, (model.name, model.version)).fetchall()]


def drop_unfinished(connection: psycopg.Connection, model: ReadModel) -> None:
    """Forget what a rebuild has left that was never read."""
    if row := connection.execute(_UNFINISHED, (model.name, model.version)).fetchone():
        drop(connection, model, int(row[0]))


def drop(connection: psycopg.Connection, model: ReadModel, generation: int) -> None:
    """Forget a generation that is not live. Its owner finds itself fenced."""
    for _ in range(STEPS_BACK):
        with suppress(psycopg.errors.LockNotAvailable):
            _drop(connection, model, generation, PATIENCE)
            return
        time.sleep(PATIENCE)
    _drop(connection, model, generation, 0)


def _drop(connection: psycopg.Connection, model: ReadModel, generation: int, patience: float) -> None:
    with connection.transaction():
        # Its owner locks the table and then the row, which cannot be turned round in one statement.
        connection.execute(f"SET LOCAL lock_timeout = {round(patience * 1000)}".encode())
        _forget(connection, model.name, model.version, generation)
        for suffix in suffixes(model):
            name = table_name(model, generation) + suffix
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(name)))
        connection.execute("SET LOCAL lock_timeout TO DEFAULT")


def older(connection: psycopg.Connection, model: ReadModel) -> list[tuple[int, int]]:
    """Version and generation of what no process goes on with since this version is read, the oldest first."""
    return connection.execute(_OLDER, {"name": model.name, "version": model.version}).fetchall()


def drop_version(connection: psycopg.Connection, name: str, version: int) -> bool:
    """Forget all generations of a version and its views. False where one is being rebuilt.

    What further tables it had only that version knows; they go by their names.
    """
    with connection.transaction():
        row = connection.execute(_ALONE, (rebuild_lock(name, version),)).fetchone()
        if row is None or not row[0]:
            return False
        _forget(connection, name, version)
        pattern = rf"^{name}_v{version}(_g[0-9]+)?(_[a-z_]+)?$"
        for relation, is_view in connection.execute(_RELATIONS, (pattern,)).fetchall():
            kind = SQL("VIEW") if is_view else SQL("TABLE")
            connection.execute(SQL("DROP {} {}").format(kind, Identifier(relation)))
        return True


def rebuild_lock(name: str, version: int) -> str:
    """What is locked by whoever rebuilds a version of a read model."""
    return f"usersd rebuild {name} {version}"


def _forget(connection: psycopg.Connection, name: str, version: int, generation: int | None = None) -> None:
    for table, column in _OF_A_GENERATION:
        statement = SQL(
            "DELETE FROM {} WHERE {} = %s AND version = %s AND generation = coalesce(%s, generation)"
        )
        connection.execute(
            statement.format(Identifier(table), Identifier(column)), (name, version, generation)
        )


def _one(connection: psycopg.Connection, query: str, *parameters: object) -> int:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])
