"""What read models with one row for each user have in common: folding, and writing the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from domain.user import User
from projections.folding import Gone, fold_user
from projections.readmodel import Discarded, Statement

_COPY = SQL("COPY {} FROM STDIN (FORMAT BINARY)")
_DELETE = SQL("DELETE FROM {} WHERE {} = ANY(%b::uuid[])")


class RowPerUser(ABC):
    """`upsert` takes the columns of many rows as arrays, `types` are those that COPY is told."""

    key: ClassVar[str]
    upsert: ClassVar[LiteralString]
    types: ClassVar[Sequence[str]]

    @abstractmethod
    def upserted(self, user: User) -> tuple[Any, ...]:
        """A user's row as an element of each of those arrays."""

    @abstractmethod
    def copied(self, user: User) -> tuple[Any, ...]:
        """A user's row as COPY takes it."""

    def fold(self, user_id: UUID, state: User | None, events: Sequence[Recorded | Discarded]) -> User | Gone:
        return fold_user(user_id, state, events)

    async def write(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[User | Gone]
    ) -> None:
        gone = [change.id for change in changes if isinstance(change, Gone)]
        if upsert := self._upsert(table, [change for change in changes if isinstance(change, User)]):
            await connection.execute(*upsert, prepare=True)
        if gone:
            await connection.execute(_DELETE.format(Identifier(table), Identifier(self.key)), (gone,))

    def statement(self, table: str, changes: Sequence[User | Gone]) -> Statement | None:
        users = [change for change in changes if isinstance(change, User)]
        return self._upsert(table, users) if len(users) == len(changes) else None

    def _upsert(self, table: str, users: Sequence[User]) -> Statement | None:
        if not users:
            return None
        columns = zip(*(self.upserted(user) for user in users), strict=True)
        return worded(self.upsert, table), [list(column) for column in columns]

    async def copy(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[User | Gone]
    ) -> None:
        async with connection.cursor().copy(_COPY.format(Identifier(table))) as rows:
            rows.set_types(self.types)
            for change in changes:
                if isinstance(change, User):
                    await rows.write_row(self.copied(change))


@cache
def worded(statement: LiteralString, table: str) -> bytes:
    """A statement about a table: composed once, as it is sent with every page."""
    return SQL(statement).format(Identifier(table)).as_bytes()
