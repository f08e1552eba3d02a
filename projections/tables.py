"""Makes, fills in and swaps the tables of read models: the only DDL outside the migrations."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from projections.readmodel import ReadModel, table_name, view_name

_LOCK = 7310580243119869

_NEWEST = "SELECT coalesce(max(generation), 0) FROM projections WHERE name = %s AND version = %s"
_OLD = """
SELECT generation FROM projections AS old WHERE name = %s AND version = %s AND NOT live AND generation < (
    SELECT generation FROM projections WHERE (name, version) = (old.name, old.version) AND live)"""
_INSERT = "INSERT INTO projections (name, version, generation, live) VALUES (%s, %s, %s, %s)"


def ensure(connection: psycopg.Connection, model: ReadModel) -> bool:
    """Make the first generation of a read model, empty and live, unless there is one. True if made."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        row = connection.execute(_NEWEST, (model.name, model.version)).fetchone()
        assert row is not None
        if row[0]:
            return False
        table = table_name(model, 1)
        connection.execute(model.table(table).encode())
        for index in model.indexes(table):
            connection.execute(index.encode())
        connection.execute(_INSERT, (model.name, model.version, 1, True))
        show(connection, model, 1)
        return True


def begin(connection: psycopg.Connection, model: ReadModel) -> int:
    """A new generation beside the live one, without its indexes; an unfinished one is taken up again."""
    # Left by a rebuild that ended between its switch and its tidying up; it must not be taken up again.
    drop_old(connection, model)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        row = connection.execute(
            "SELECT generation FROM projections WHERE name = %s AND version = %s AND NOT live"
            " ORDER BY generation DESC LIMIT 1",
            (model.name, model.version),
        ).fetchone()
        if row is not None:
            return int(row[0])
        newest = connection.execute(_NEWEST, (model.name, model.version)).fetchone()
        assert newest is not None
        generation = int(newest[0]) + 1
        connection.execute(model.table(table_name(model, generation)).encode())
        connection.execute(_INSERT, (model.name, model.version, generation, False))
        return generation


def show(connection: psycopg.Connection, model: ReadModel, generation: int) -> None:
    """Point the view at a generation."""
    connection.execute(showing(model, generation))


def showing(model: ReadModel, generation: int) -> Composed:
    """The SQL that points the view at a generation."""
    return SQL("CREATE OR REPLACE VIEW {} AS SELECT * FROM {}").format(
        Identifier(view_name(model)), Identifier(table_name(model, generation))
    )


def drop_old(connection: psycopg.Connection, model: ReadModel) -> None:
    """Forget the generations that were live before the present one."""
    for (generation,) in connection.execute(_OLD, (model.name, model.version)).fetchall():
        drop(connection, model, generation)


def drop(connection: psycopg.Connection, model: ReadModel, generation: int) -> None:
    """Forget a generation that is not live."""
    with connection.transaction():
        for table, column in (("projections", "name"), ("parked_streams", "projection")):
            connection.execute(
                SQL("DELETE FROM {} WHERE {} = %s AND version = %s AND generation = %s").format(
                    Identifier(table), Identifier(column)
                ),
                (model.name, model.version, generation),
            )
        connection.execute(SQL("DROP TABLE {}").format(Identifier(table_name(model, generation))))
