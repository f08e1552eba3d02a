"""Compares tables of one shape in SQL: whose rows differ, and in which columns; values stay in there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier

from application.projections import Difference
from projections.readmodel import ReadModel, suffixes

FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)

_COLUMNS = """
SELECT a.attname, coalesce(a.attnum = ANY(i.indkey), false)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

_DIGEST = SQL("""
SELECT count(*), coalesce(sum(hash_record_extended(t, 0)::numeric), 0) FROM {table} AS t WHERE {chosen}""")

_DIFFERING = SQL("""
SELECT coalesce(found.{key}, wanted.{key}), count(*) FILTER (WHERE found.{key} IS NULL),
       count(*) FILTER (WHERE wanted.{key} IS NULL), count(*) FILTER (WHERE {both}), {columns}
FROM (SELECT * FROM {found} WHERE {chosen}) AS found
FULL JOIN (SELECT * FROM {wanted} WHERE {chosen}) AS wanted ON {primary}
WHERE found.{key} IS NULL OR wanted.{key} IS NULL OR {differ}
GROUP BY 1 ORDER BY 1""")


class Shape(msgspec.Struct, frozen=True):
    """The columns of a table that has a row, or several, for each user, and those of its primary key."""

    suffix: str
    columns: Sequence[str]
    primary: Sequence[str]


class Chosen(msgspec.Struct, frozen=True):
    """Whose rows: a condition on the column of the user's id, with `{key}` for its name."""

    condition: SQL
    names: Mapping[str, Any]

    def of(self, key: str) -> Composed:
        return self.condition.format(key=Identifier(key))


def behind(user: UUID) -> UUID:
    """The id that comes next; `LAST` has none."""
    return UUID(int=user.int + 1)


def between(start: UUID, upto: UUID, sample: Sample | None, skipped: Sequence[UUID] = ()) -> Chosen:
    """The users from one id to another, all or a sample of them, without those that are skipped."""
    names: dict[str, Any] = {"start": start, "upto": upto, "skipped": list(skipped)}
    condition = "{key} >= %(start)s AND {key} <= %(upto)s AND {key} <> ALL(%(skipped)s::uuid[])"
    if sample is None:
        return Chosen(SQL(condition), names)
    names |= {"salt": sample.salt, "share": sample.share}
    return Chosen(SQL(condition + " AND " + SAMPLED), names)


class Sample(msgspec.Struct, frozen=True):
    """A share of all users, in 65,536ths; another salt chooses other ones."""

    share: int
    salt: int


SAMPLED = "(uuid_hash_extended({key}, %(salt)s) & 65535) < %(share)s"


async def shapes_of(connection: psycopg.AsyncConnection, model: ReadModel, table: str) -> list[Shape]:
    """The tables of a generation that have a column for the user's id."""
    shapes = []
    for suffix in suffixes(model):
        columns = await (await connection.execute(_COLUMNS, (table + suffix,))).fetchall()
        if any(name == model.key for name, _ in columns):
            primary = [name for name, is_primary in columns if is_primary]
            shapes.append(Shape(suffix, [name for name, _ in columns], primary))
    return shapes


async def digest(
    connection: psycopg.AsyncConnection, model: ReadModel, table: str, chosen: Chosen
) -> tuple[int, int]:
    """How many rows there are, and the sum of their hashes."""
    query = _DIGEST.format(table=Identifier(table), chosen=chosen.of(model.key))
    row = await (await connection.execute(query, chosen.names)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def differing(
    connection: psycopg.AsyncConnection,
    model: ReadModel,
    shape: Shape,
    found: str,
    wanted: str,
    chosen: Chosen,
) -> list[Difference]:
    """The users whose rows in one table are not those in the other."""
    ours, theirs = _sides(shape.columns)
    both = SQL("found.{key} IS NOT NULL AND wanted.{key} IS NOT NULL").format(key=Identifier(model.key))
    query = _DIFFERING.format(
        key=Identifier(model.key),
        both=both,
        found=Identifier(found + shape.suffix),
        wanted=Identifier(wanted + shape.suffix),
        chosen=chosen.of(model.key),
        primary=SQL(" AND ").join(
            SQL("found.{0} = wanted.{0}").format(Identifier(name)) for name in shape.primary
        ),
        differ=SQL("({}) IS DISTINCT FROM ({})").format(SQL(", ").join(ours), SQL(", ").join(theirs)),
        columns=SQL(", ").join(
            SQL("bool_or({} IS DISTINCT FROM {}) FILTER (WHERE {})").format(our, their, both)
            for our, their in zip(ours, theirs, strict=True)
        ),
    )
    cursor = await connection.execute(query, chosen.names)
    return [
        Difference(
            user_id=user_id,
            missing=missing,
            extra=extra,
            different=different,
            columns=[name for name, differs in zip(shape.columns, columns, strict=True) if differs],
        )
        for user_id, missing, extra, different, *columns in await cursor.fetchall()
    ]


async def disagreeing(connection: psycopg.AsyncConnection, model: ReadModel, table: str) -> list[str]:
    """Places where totals do not agree with the rows they count."""
    if not (query := model.disagreement(table)):
        return []
    cursor = await connection.execute(query.encode())
    return [str(place) for (place,) in await cursor.fetchall()]


def _sides(columns: Sequence[str]) -> tuple[list[Composable], list[Composable]]:
    return (
        [SQL("found.{}").format(Identifier(name)) for name in columns],
        [SQL("wanted.{}").format(Identifier(name)) for name in columns],
    )
