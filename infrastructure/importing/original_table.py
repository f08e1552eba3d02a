"""Finds the table of accounts in the database of another service, and works out how each column is read."""

from __future__ import annotations

from typing import Any, Final, LiteralString

import msgspec
import psycopg
from psycopg.sql import SQL, Composable, Identifier

from domain.events import Dialect
from infrastructure.importing.lines import MAX_LINE
from infrastructure.importing.original_connection import NotAnOriginal

_COLUMNS: Final = """
SELECT c.table_schema, c.table_name, c.column_name, c.data_type
FROM information_schema.columns AS c
WHERE c.table_schema = ANY (current_schemas(false)) AND c.table_name IN ('users', 'clients')
ORDER BY c.table_schema, c.table_name, c.ordinal_position"""

_MAY_TELL_CLUSTER: Final = """
SELECT coalesce(has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE'), false)"""

_CLUSTER: Final = """
SELECT system_identifier::text, current_database()::text FROM pg_control_system()"""

_IDS_ARE_UNIQUE: Final = """
SELECT EXISTS (
    SELECT FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND i.indisunique AND i.indisvalid
      AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = 'id' AND a.attnotnull)"""

_VERIFICATIONS: Final = """
SELECT coalesce(has_table_privilege(to_regclass('users_verifications'), 'SELECT'), false)"""

_SAME: Final[dict[str, tuple[str, ...]]] = {"email": ("email", "identity"), "secret": ("secret", "password")}
"""What a field of ours was called, where it had more than one name; the first one wins."""

_TEXTS: Final = (
    "username", "first_name", "last_name", "name", "profile_picture", "status", "role", "auth_provider",
    "updated_by", "metadata", "private_metadata", "owner", "owner_id", "domain_id",
)  # fmt: skip

_TIMES: Final = ("created_at", "updated_at", "verified_at")

_ID_TYPES: Final[dict[str, LiteralString]] = {
    "uuid": "uuid", "character varying": "text", "text": "text", "character": "bpchar",
}  # fmt: skip

_BOUNDED: Final = ("uuid", "smallint", "integer", "bigint", "boolean", "timestamp without time zone",
                   "timestamp with time zone")  # fmt: skip
"""Types of columns whose values are short, whoever wrote them."""

_ENDS: Final[LiteralString] = "'1900-01-01' AND '9999-12-30'"
"""What is earlier stands for no time at all; what is later, infinity too, has no clock ever shown."""

_VERIFIED_AT: Final = SQL("""(
    SELECT max(v.used_at) FROM users_verifications AS v
    WHERE v.user_id = t.id AND v.email = t.{} AND v.used_at BETWEEN '1900-01-01' AND '9999-12-30'
) AT TIME ZONE 'UTC'""")


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of accounts: SQL for each field of ours that it holds. In a query it goes by the name `t`.

    `stands_in` tells its database from others, by whatever address that is reached.
    """

    schema: str
    relation: str
    columns: dict[str, str]
    read: dict[str, Composable]
    id_type: LiteralString
    stands_in: tuple[str, ...]

    @property
    def name(self) -> Composable:
        return Identifier(self.schema, self.relation)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.read)

    @property
    def selected(self) -> Composable:
        return SQL(", ").join(self.read.values())

    @property
    def times(self) -> tuple[str, ...]:
        return tuple(field for field in _TIMES if field in self.read)

    @property
    def changed(self) -> Composable:
        """When a row was last changed, in UTC without a zone; NULL where no time of it is known."""
        times = self._own_times
        return SQL("greatest({})").format(SQL(", ").join(times)) if times else SQL("NULL::timestamp")

    @property
    def all_times(self) -> Composable:
        """All times of a row, in UTC without a zone: one of them changes with every change."""
        return SQL("ARRAY[{}]::timestamp[]").format(SQL(", ").join(self._own_times))

    @property
    def _own_times(self) -> list[Composable]:
        return [self.read[field] for field in self.times if field in self.columns]

    @property
    def id_placeholder(self) -> Composable:
        return SQL("%s::" + self.id_type)

    @property
    def ids_placeholder(self) -> Composable:
        return SQL("%s::" + self.id_type + "[]")

    def dialect(self, asked: Dialect) -> Dialect:
        """The form in which clients know the accounts. Raises NotAnOriginal where the columns contradict."""
        if "username" not in self.columns:
            # Early releases of Magistrala spoke as Mainflux did: of an identity and a name.
            return "mainflux" if "email" not in self.columns else asked
        if asked == "mainflux":
            raise NotAnOriginal(
                f"The table {self.relation} has usernames, as Magistrala has them and Mainflux has not: "
                "say --dialect magistrala."
            )
        return asked


def find_table(connection: psycopg.Connection[Any]) -> Table:
    """Raises NotAnOriginal where there is no such table, more than one, or no way to read it."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding == "SQL_ASCII":
        raise NotAnOriginal(
            "That database is encoded in SQL_ASCII: nobody can say which letters its bytes stand for. "
            "Make a copy in UTF8 with pg_dump --encoding=UTF8, and import from that."
        )
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(_COLUMNS).fetchall():
        found.setdefault((schema, table), {})[column] = kind
    fitting = {table: columns for table, columns in found.items() if not _missing(columns)}
    if not fitting:
        raise NotAnOriginal(_nothing(found))
    if len(fitting) > 1:
        names = " and ".join(f"{schema}.{table}" for schema, table in fitting)
        raise NotAnOriginal(
            f"Both {names} could hold the accounts. Let the user after --from read only the right one, or "
            "name its schema: add ?options=-csearch_path%3Dthe_schema to the address."
        )
    ((schema, relation), columns), *_ = fitting.items()
    return _table(connection, schema, relation, columns)


def _missing(columns: dict[str, str]) -> list[str]:
    wanted = {"id": ("id",), **_SAME}
    return [field for field, names in wanted.items() if not any(name in columns for name in names)]


def _nothing(found: dict[tuple[str, str], dict[str, str]]) -> str:
    if not found:
        return (
            "There is no table `users` or `clients` there that this user may read. Check the name of the "
            "database, and GRANT SELECT on the table to the user after --from."
        )
    told = "; ".join(
        f"{schema}.{table} has no column for {' and '.join(_missing(columns))}"
        for (schema, table), columns in found.items()
    )
    return f"No table there holds accounts: {told}. Check that it is the database of Users, not of another."


def _table(connection: psycopg.Connection[Any], schema: str, relation: str, columns: dict[str, str]) -> Table:
    if (id_type := _ID_TYPES.get(columns["id"])) is None:
        raise NotAnOriginal(
            f"The ids of {schema}.{relation} are of the type {columns['id']}, and ids are UUIDs or text."
        )
    row = connection.execute(_IDS_ARE_UNIQUE, (schema, relation)).fetchone()
    if not row or not row[0]:
        raise NotAnOriginal(
            f"Nothing says that each row of {schema}.{relation} has an id of its own, and rows could be "
            "overlooked. Make the id the primary key in a copy of the database, and import from that."
        )
    read = {"id": SQL("t.id::text")} | _readings(columns)
    if "verified_at" not in read and "email" in columns and _has_verifications(connection):
        read["verified_at"] = _VERIFIED_AT.format(Identifier("email"))
    table = Table(
        schema=schema, relation=relation, columns=columns, read=read, id_type=id_type,
        stands_in=_database(connection),
    )  # fmt: skip
    try:
        connection.execute(SQL("SELECT {} FROM {} AS t LIMIT 0").format(table.selected, table.name))
    except psycopg.errors.InsufficientPrivilege:
        raise NotAnOriginal(
            f"This user may not read {schema}.{relation}: GRANT SELECT on the table to the user after --from."
        ) from None
    return table


def _database(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """What stays as it is under another address of the same database; the address where that is not told."""
    may = connection.execute(_MAY_TELL_CLUSTER).fetchone()
    if may and may[0] and (told := connection.execute(_CLUSTER).fetchone()):
        return tuple(told)
    info = connection.info
    return info.host, str(info.port), info.dbname


def _readings(columns: dict[str, str]) -> dict[str, Composable]:
    read: dict[str, Composable] = {}
    wide: list[Composable] = []

    def text(field: str, column: str, reading: Composable) -> None:
        if columns[column] not in _BOUNDED:
            # What no account can have stays there: it would only fill the memory here.
            wide.append(SQL("coalesce(octet_length({}), 0)").format(reading))
            within = SQL("CASE WHEN octet_length({}) <= {} THEN {} END")
            reading = within.format(reading, MAX_LINE, reading)
        read[field] = reading

    for field, names in _SAME.items():
        column = next(name for name in names if name in columns)
        text(field, column, SQL("t.{}::text").format(Identifier(column)))
    for field in _TEXTS:
        if field in columns:
            text(field, field, SQL("t.{}::text").format(Identifier(field)))
    if "tags" in columns:
        text("tags", "tags", SQL("to_jsonb(t.tags)::text"))
    read["is_too_wide"] = SQL("{} > {}").format(SQL(" + ").join(wide) if wide else SQL("0"), MAX_LINE)
    for field in _TIMES:
        zoned = columns.get(field, "") == "timestamp with time zone"
        if zoned or columns.get(field, "") == "timestamp without time zone":
            time = SQL("(t.{} AT TIME ZONE 'UTC')" if zoned else "t.{}").format(Identifier(field))
            read[field] = SQL("CASE WHEN {} BETWEEN " + _ENDS + " THEN {} END").format(time, time)
    return read


def _has_verifications(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(_VERIFICATIONS).fetchone()
    return bool(row and row[0])
