"""What read models with one row for each user have in common: folding, and writing the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from domain.user import User
from projections.folding import Gone, fold_user
from projections.readmodel import Discarded

_COPY = SQL("COPY {} FROM STDIN (FORMAT BINARY)")
_DELETE = SQL("DELETE FROM {} WHERE {} = ANY(%b::uuid[])")


class RowPerUser(ABC):
    """`upsert` takes the columns of many rows as arrays, `types` are those that COPY is told."""

    key: ClassVar[str]
    upsert: ClassVar[SQL]
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
        rows = [self.upserted(change) for change in changes if isinstance(change, User)]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            await connection.execute(self.upsert.format(Identifier(table)), columns, prepare=True)
        if gone:
            await connection.execute(_DELETE.format(Identifier(table), Identifier(self.key)), (gone,))

    async def copy(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[User | Gone]
    ) -> None:
        async with connection.cursor().copy(_COPY.format(Identifier(table))) as rows:
            rows.set_types(self.types)
            for change in changes:
                if isinstance(change, User):
                    await rows.write_row(self.copied(change))
