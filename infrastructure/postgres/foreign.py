"""Tells a database that is ours or empty from one that another program keeps its data in."""

from __future__ import annotations

from typing import Any

import psycopg

NAMED = 3
"""So many of the tables that are in the way are named."""

# What an extension has brought is nobody's data. One statement sees one moment: another process may be making
# the first table of ours.
_LOOK = """
SELECT ARRAY(
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = to_regclass(format('%I.schema_migrations', current_schema()))
      AND attnum > 0 AND NOT attisdropped
), current_database(), ARRAY(
    SELECT relname::text FROM pg_class AS c
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    ORDER BY relname
)"""

_LEDGER = frozenset({"number", "name", "checksum"})


class MigrationError(Exception):
    """The database and this version of the service do not fit; the text says which way."""


def has_ledger(connection: psycopg.Connection) -> bool:
    """Whether our migrations have been here; looks, and changes nothing.

    Raises MigrationError where the database is neither ours nor empty.
    """
    columns, database, tables = _row(connection, _LOOK)
    if frozenset(columns) >= _LEDGER:
        return True
    if tables:
        more = f" and {len(tables) - NAMED} more" if len(tables) > NAMED else ""
        raise MigrationError(
            f"The database {database} belongs to another program: it holds {', '.join(tables[:NAMED])}{more}"
            ", and not the migrations of usersd. Nothing in it was touched. Make an empty database, and name "
            "it in MG_USERS_DB_NAME."
        )
    return False


def _row(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
