"""Keeps the read model `users`: one row per user, folded by the domain itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from application.documents import parse_document, render_card, render_document
from application.ports import Recorded
from domain.user import User
from domain.values import name_key
from projections.readmodel import Discarded
from projections.rows import RowPerUser

_LOAD = SQL("SELECT id, version, document FROM {} WHERE id = ANY(%b::uuid[])")

_UPSERT: LiteralString = """
INSERT INTO {} AS present
SELECT id, version, email, username, first_name, last_name, name, status, role, created_at, changed_at,
       ARRAY(SELECT jsonb_array_elements_text(tags)), metadata, document, card, brief
FROM unnest(
    %b::uuid[], %b::int8[],
    %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::timestamptz[], %b::timestamptz[], %b::text[]::jsonb[], %b::text[]::jsonb[], %b::bytea[], %b::bytea[],
    %b::bool[]
) AS changed (id, version, email, username, first_name, last_name, name, status, role, created_at, changed_at,
              tags, metadata, document, card, brief)
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, email = excluded.email, username = excluded.username,
    first_name = excluded.first_name, last_name = excluded.last_name, name = excluded.name,
    status = excluded.status, role = excluded.role, created_at = excluded.created_at,
    changed_at = excluded.changed_at, tags = excluded.tags, metadata = excluded.metadata,
    document = excluded.document, card = excluded.card, brief = excluded.brief
WHERE present.version < excluded.version"""

_TYPES = ("uuid", "int8", *["text"] * 7, *["timestamptz"] * 2, "text[]", "jsonb", *["bytea"] * 2, "bool")

_TAGS = 11
_LONGEST_KEY = 500
_BRIEF = 2000
_VALUE = 16


class Users(RowPerUser):
    """The read model behind list, search and profile."""

    name: ClassVar[str] = "users"
    version: ClassVar[int] = 1
    key: ClassVar[str] = "id"
    upsert: ClassVar[LiteralString] = _UPSERT
    types: ClassVar[Sequence[str]] = _TYPES
    also: ClassVar[Sequence[str]] = ()

    def table(self, name: str) -> str:
        return _sql("table.sql").format(table=name)

    def indexes(self, name: str) -> Sequence[str]:
        return [line.format(table=name) for line in _sql("indexes.sql").split(";")]

    async def load(
        self,
        connection: psycopg.AsyncConnection,
        table: str,
        events: Mapping[UUID, Sequence[Recorded | Discarded]],
    ) -> Mapping[UUID, User]:
        known = [user_id for user_id, of_user in events.items() if of_user[0].version > 1]
        if not known:
            return {}
        query = _LOAD.format(Identifier(table))
        cursor = await connection.execute(query, (known,), prepare=True, binary=True)
        return {row[0]: parse_document(row[2], row[1]) for row in await cursor.fetchall()}

    def upserted(self, user: User) -> tuple[Any, ...]:
        columns = list(row(user))
        # An array of arrays is a rectangle; as JSON each user has as many tags as they have.
        columns[_TAGS] = msgspec.json.encode(columns[_TAGS]).decode()
        return tuple(columns)

    def copied(self, user: User) -> tuple[Any, ...]:
        *columns, metadata, document, card, brief = row(user)
        # It is JSON already; a plain text would be stored as a JSON string of it.
        return (*columns, Jsonb(metadata, dumps=str), document, card, brief)

    def disagreement(self, table: str) -> str:
        return ""


def search_key(text: str) -> str:
    """The form in which texts are filtered and sorted.

    It is cut where a B-tree would refuse it: few characters that Unicode unfolds into many could make a
    name that no index takes.
    """
    return name_key(text)[:_LONGEST_KEY]


def row(user: User) -> tuple[Any, ...]:
    """A user's row, column by column as in table.sql."""
    metadata = msgspec.json.encode(user.metadata)
    return (
        user.id,
        user.version,
        search_key(user.email),
        search_key(user.username or ""),
        search_key(user.first_name),
        search_key(user.last_name),
        search_key(user.name),
        user.status.value,
        user.role.value,
        user.created_at,
        user.updated_at or user.created_at,
        list(user.tags),
        metadata.decode(),
        render_document(user),
        render_card(user),
        _is_brief(user.tags, metadata),
    )


def _is_brief(tags: Sequence[str], metadata: bytes) -> bool:
    """Whether tags and metadata fit into the 2,704 bytes that a B-tree takes.

    PostgreSQL adds at most so many bytes to each value: a length, an offset, a number's digits in pairs.
    """
    values = len(tags) + 1 + sum(metadata.count(mark) for mark in (b",", b":", b"[", b"{"))
    return len(metadata) + sum(len(tag.encode()) for tag in tags) + _VALUE * values <= _BRIEF


def _sql(file: str) -> str:
    return files("projections.users").joinpath(file).read_text("utf-8")
