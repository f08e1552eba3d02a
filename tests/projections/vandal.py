"""Does wrong things to the tables of read models, one at a time."""

from __future__ import annotations

import random
from uuid import UUID, uuid4

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from projections.readmodel import ReadModel, table_name
from tests.support.writer import Writer

_OTHERWISE = {
    "text": "{} || 'x'",
    "bigint": "{} + 1",
    "date": "{} + 1",
    "timestamp with time zone": "{} + interval '1 s'",
    "text[]": "{} || 'x'::text",
    "jsonb": "{} || '{{\"x\": 1}}'",
    "bytea": "{} || '\\x00'::bytea",
    "boolean": "NOT {}",
}

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND a.attgenerated = '' AND a.attname <> ALL(%s)"""


class Vandal:
    """Does one wrong thing to a table that holds users' rows."""

    def __init__(self, writer: Writer, model: ReadModel, seed: int) -> None:
        self._conninfo = writer.conninfo
        self._model = model
        self._chance = random.Random(seed)
        self._table = Identifier(table_name(model, 1))
        with psycopg.connect(self._conninfo) as connection:
            cursor = connection.execute(_COLUMNS, (table_name(model, 1), [model.key, "user_id", "id"]))
            self.columns: dict[str, str] = dict(cursor.fetchall())

    def change(self, user: UUID, column: str) -> None:
        wrong = SQL(_OTHERWISE[self.columns[column]]).format(Identifier(column))
        self._do(SQL("UPDATE {t} SET {c} = {w} WHERE {at}"), user, c=Identifier(column), w=wrong)

    def remove(self, user: UUID) -> None:
        self._do(SQL("DELETE FROM {t} WHERE {at}"), user)

    def add(self, user: UUID) -> UUID:
        """A row of somebody who was never registered."""
        somebody, key = uuid4(), Identifier(self._model.key)
        columns = SQL(", ").join(map(Identifier, self.columns))
        self._do(
            SQL("INSERT INTO {t} ({k}, {cs}) SELECT {u}, {cs} FROM {t} WHERE {at}"),
            user, k=key, cs=columns, u=Literal(somebody),
        )  # fmt: skip
        return somebody

    def _do(self, statement: SQL, user: UUID, **parts: object) -> None:
        # One row, where a user has several.
        at = SQL("ctid = (SELECT max(ctid) FROM {t} WHERE {k} = {u})").format(
            t=self._table, k=Identifier(self._model.key), u=Literal(user)
        )
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            done = connection.execute(statement.format(**{"t": self._table, "at": at} | parts))
            assert done.rowcount == 1
