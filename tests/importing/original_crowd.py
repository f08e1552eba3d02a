"""Invents the rows of another service's table: varied, old ones with nulls included, always the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import bcrypt
import psycopg
from psycopg.sql import SQL, Identifier

from tests.support.databases import Databases

SCHEMAS = Path(__file__).with_name("originals")

SHAPES = {
    "magistrala_users": "magistrala",
    "magistrala_users_before_verification": "magistrala",
    "magistrala_clients": "magistrala",
    "mainflux_clients": "mainflux",
    "mainflux_users": "mainflux",
}
"""Schemas of released versions, and the dialect to say for each."""

SECRETS = (
    "changeMe123",
    "correct horse",
    "ünïcode-pass",
    "p" * 72,
    "12345678",
    " spaces count ",
    "päss/wörd",
    "🔑🔑🔑",
)

METADATA = (None, "{}", "null", '{"a": {"b": [1, 2.5, null, true]}}', '{"big": 9007199254740993}')

Row = dict[str, Any]


@cache
def hash_of(secret: str) -> str:
    """A hash as both services made them, but cheap."""
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()


def crowd(count: int, seed: int = 1) -> list[Row]:
    """So many rows, each with a value for every column that any schema has, and with `plain`, its secret."""
    dice = random.Random(seed)
    return [_row(number, dice) for number in range(count)]


def _row(number: int, dice: random.Random) -> Row:
    secret = None if number % 50 == 49 else dice.choice(SECRETS)
    email = dice.choice(("user{}@example.com", "First.Last{}@Example.COM", "jürgen+{}@exämple.org")).format(
        number
    )
    born = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(
        seconds=dice.randrange(200_000_000), microseconds=number
    )
    changed = born + timedelta(seconds=dice.randrange(10_000_000)) if number % 3 else None
    hashed = hash_of(secret) if secret else None
    return {
        "plain": secret,
        "id": str(UUID(int=dice.getrandbits(128), version=4)),
        "email": email,
        "identity": email,
        "username": dice.choice((None, f"user_{number}", f"User-{number}", f"old name {number}")),
        "secret": hashed,
        "password": hashed,
        "first_name": dice.choice(("", "Ada", "Ludwig-Ferdinand", "Željko", "李")),
        "last_name": dice.choice(("", "Lovelace", "O'Neil", "x" * 254)),
        "name": dice.choice((None, "", "Ada Lovelace", "李 小龍")),
        "tags": dice.choice((None, [], ["a"], ["b", "b", ""], ["ü", "two words"])),
        "metadata": dice.choice(METADATA),
        "private_metadata": dice.choice((None, "{}", '{"note": "nobody reads this"}')),
        "profile_picture": dice.choice((None, "", "https://example.com/p.png")),
        "created_at": dice.choice((born, born, born, None, "0001-01-01 00:00:00+00")),
        "updated_at": changed,
        "updated_by": dice.choice((None, "", str(UUID(int=number + 1, version=4)))),
        "verified_at": born if number % 4 == 1 else None,
        "auth_provider": "google" if secret is None else None,
        "domain_id": "0d10ef5a-037c-43ad-8c4c-5626bbd223ff" if number % 7 == 0 else None,
        "owner_id": "0d10ef5a-037c-43ad-8c4c-5626bbd223ff" if number % 5 == 0 else None,
        "status": 1 if number % 20 == 3 else 2 if number % 40 == 5 else 0,
        "role": None if number % 9 == 0 else int(number % 97 == 1),
    }  # fmt: skip


@contextmanager
def original(databases: Databases, shape: str, rows: list[Row]) -> Iterator[str]:
    """The database of another service, with so many accounts."""
    with databases.unmigrated() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute((SCHEMAS / f"{shape}.sql").read_bytes())
            put(connection, rows)
        yield conninfo


def put(connection: psycopg.Connection, rows: list[Row]) -> None:
    """Insert rows, of each as much as the table has columns for."""
    columns = connection.execute(
        "SELECT table_name, column_name, is_nullable, udt_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name IN ('users', 'clients')"
    ).fetchall()
    table = columns[0][0]
    names = SQL(", ").join(Identifier(name) for _, name, *_ in columns)
    with (
        connection.cursor() as cursor,
        cursor.copy(SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), names)) as copy,
    ):
        for row in rows:
            copy.write_row(
                [_value(row[name], nullable == "YES", kind) for _, name, nullable, kind in columns]
            )


def _value(value: Any, nullable: bool, kind: str) -> Any:
    if kind == "user_status":
        return "enabled" if value == 0 else "disabled"
    if value is None and not nullable:
        return "0" if kind == "int2" else ""
    return value


def names(row: Row, dialect: str) -> list[str]:
    """By what the account could log in there."""
    return [name for name in (row["email"], row["username"] if dialect == "magistrala" else None) if name]


def document(row: Row, shape: str) -> Row:
    """What an admin sees of the account here, worked out from the row alone."""
    has_usernames = shape in ("magistrala_users", "magistrala_users_before_verification")
    is_old = shape == "mainflux_users"
    latest = shape == "magistrala_users"
    status = row["status"] if not is_old else min(row["status"], 1)
    found = {
        "id": row["id"],
        "first_name": has_usernames and row["first_name"],
        "last_name": has_usernames and row["last_name"],
        "name": not has_usernames and not is_old and row["name"],
        "tags": not is_old and row["tags"],
        "metadata": json.loads(row["metadata"] or "null"),
        "private_metadata": latest and json.loads(row["private_metadata"] or "null"),
        "status": ("enabled", "disabled", "deleted")[status],
        "role": "admin" if row["role"] and not is_old else "user",
        "profile_picture": has_usernames and row["profile_picture"],
        "email": row["email"],
        "created_at": _shown(None if is_old else _created(row)) or "1970-01-01T00:00:00Z",
        "updated_at": _shown(None if is_old else row["updated_at"]) or ZERO,
        "updated_by": not is_old and row["updated_by"],
        "verified_at": _shown(row["verified_at"] if latest else None) or ZERO,
        "auth_provider": latest and row["auth_provider"],
    }
    credentials = {
        "username": has_usernames and row["username"],
        "identity": not has_usernames and row["email"],
    }
    return {key: value for key, value in found.items() if value} | {
        "credentials": {key: value for key, value in credentials.items() if value}
    }


ZERO = "0001-01-01T00:00:00Z"


def _created(row: Row) -> datetime | None:
    created = row["created_at"]
    return created if isinstance(created, datetime) else row["updated_at"]


def _shown(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
