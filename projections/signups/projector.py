"""Keeps the read model `signups`: a brief row per user, and the totals that its triggers keep exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from importlib.resources import files
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from domain.user import User
from domain.values import Role, Status
from projections.readmodel import Discarded
from projections.rows import RowPerUser

_LOAD = SQL("SELECT user_id, version, day, status, role FROM {} WHERE user_id = ANY(%b::uuid[])")

_UPSERT: LiteralString = """
INSERT INTO {} AS present
SELECT * FROM unnest(%b::uuid[], %b::int8[], %b::date[], %b::text[], %b::text[])
ON CONFLICT (user_id) DO UPDATE SET
    version = excluded.version, day = excluded.day, status = excluded.status, role = excluded.role
WHERE present.version < excluded.version"""


class Signups(RowPerUser):
    """The read model behind totals and `usersd stats`."""

    name: ClassVar[str] = "signups"
    version: ClassVar[int] = 1
    key: ClassVar[str] = "user_id"
    upsert: ClassVar[LiteralString] = _UPSERT
    types: ClassVar[Sequence[str]] = ("uuid", "int8", "date", "text", "text")
    also: ClassVar[Sequence[str]] = ("totals",)

    def table(self, name: str) -> str:
        return _sql("table.sql", name)

    def indexes(self, name: str) -> Sequence[str]:
        """The totals and what keeps them, counted once when the rows are in, and by what ids are searched.

        That index is here and not among those of `users`, since a row that changes in place leaves it alone.
        """
        return [_sql("totals.sql", name), _sql("index.sql", name)]

    async def load(
        self,
        connection: psycopg.AsyncConnection,
        table: str,
        events: Mapping[UUID, Sequence[Recorded | Discarded]],
    ) -> Mapping[UUID, User]:
        known = [user_id for user_id, of_user in events.items() if of_user[0].version > 1]
        if not known:
            return {}
        cursor = await connection.execute(
            _LOAD.format(Identifier(table)), (known,), prepare=True, binary=True
        )
        return {row[0]: _user(*row) for row in await cursor.fetchall()}

    def upserted(self, user: User) -> tuple[Any, ...]:
        return row(user)

    def copied(self, user: User) -> tuple[Any, ...]:
        return row(user)

    def disagreement(self, table: str) -> str:
        return _sql("disagreement.sql", table)


def row(user: User) -> tuple[Any, ...]:
    """A user's row, column by column as in table.sql."""
    assert user.created_at is not None
    day = user.created_at.astimezone(UTC).date()
    return (user.id, user.version, day, user.status.value, user.role.value)


def _user(user_id: UUID, version: int, day: date, status: str, role: str) -> User:
    """As much of a user as the row holds, which is all that their next row depends upon."""
    created = datetime.combine(day, time(), UTC)
    return User(id=user_id, version=version, created_at=created, status=Status(status), role=Role(role))


def _sql(file: str, table: str) -> str:
    return files("projections.signups").joinpath(file).read_text("utf-8").format(table=table)
