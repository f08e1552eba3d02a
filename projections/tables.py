"""Makes and drops the tables of read models, and points their views: the only DDL outside the migrations."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from projections.readmodel import ReadModel, suffixes, table_name, view_name

_LOCK = 7310580243119869

_NEWEST = "SELECT coalesce(max(generation), 0) FROM projections WHERE name = %s AND version = %s"

_UNFINISHED = """
SELECT generation FROM projections AS p WHERE name = %s AND version = %s AND generation > (
    SELECT coalesce(max(generation), 0) FROM projections WHERE (name, version) = (p.name, p.version) AND live)
ORDER BY generation DESC LIMIT 1"""

_OLD = """
SELECT generation FROM projections AS p WHERE name = %s AND version = %s AND generation < (
    SELECT generation FROM projections WHERE (name, version) = (p.name, p.version) AND live)
ORDER BY generation DESC"""

_INSERT = "INSERT INTO projections (name, version, generation, state) VALUES (%s, %s, %s, %s)"

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
    """A new generation beside the live one, without its indexes; an unfinished one is taken up again."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if row := connection.execute(_UNFINISHED, (model.name, model.version)).fetchone():
            return int(row[0])
        generation = _one(connection, _NEWEST, model.name, model.version) + 1
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
    """The generations that were live before the present one, the youngest first."""
    return [row[0] for row in connection.execute(_OLD, (model.name, model.version)).fetchall()]


def drop(connection: psycopg.Connection, model: ReadModel, generation: int) -> None:
    """Forget a generation that is not live. Its owner finds itself fenced."""
    with connection.transaction():
        # The row before the table: in the order in which a projector locks them.
        for table, column in (("projections", "name"), ("parked_streams", "projection")):
            connection.execute(
                SQL("DELETE FROM {} WHERE {} = %s AND version = %s AND generation = %s").format(
                    Identifier(table), Identifier(column)
                ),
                (model.name, model.version, generation),
            )
        for suffix in suffixes(model):
            name = table_name(model, generation) + suffix
            connection.execute(SQL("DROP TABLE {}").format(Identifier(name)))


def _one(connection: psycopg.Connection, query: str, *parameters: object) -> int:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])
