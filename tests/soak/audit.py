"""A read model of the soak's own, which shows what the others forgive: every application leaves a row."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from projections import catalogue
from projections.readmodel import Discarded, Statement

_INSERT = SQL("INSERT INTO {} SELECT * FROM unnest(%b::uuid[], %b::int8[], %b::int8[], %b::int8[])")

_TIMES = SQL("SELECT version, user_id, count(*) FROM {} WHERE user_id = ANY(%b::uuid[]) GROUP BY 1, 2")

Applied = Sequence[tuple[UUID, int, int, int]]


class Audit:
    """A row for each application of an event: a second one adds a row, where other read models forgive it."""

    name: ClassVar[str] = "audit"
    version: ClassVar[int] = 1
    key: ClassVar[str] = "user_id"
    also: ClassVar[Sequence[str]] = ()

    def table(self, name: str) -> str:
        return (
            f"CREATE TABLE {name} (user_id uuid NOT NULL, version bigint NOT NULL, times bigint NOT NULL,"
            " position bigint NOT NULL, PRIMARY KEY (user_id, version, times))"
        )

    def indexes(self, name: str) -> Sequence[str]:
        return [f"CREATE INDEX {name}_position ON {name} (position)"]

    async def load(
        self,
        connection: psycopg.AsyncConnection,
        table: str,
        events: Mapping[UUID, Sequence[Recorded | Discarded]],
    ) -> Mapping[UUID, Any]:
        times: dict[UUID, Counter[int]] = {}
        cursor = await connection.execute(_TIMES.format(Identifier(table)), (list(events),), binary=True)
        for version, user_id, count in await cursor.fetchall():
            times.setdefault(user_id, Counter())[version] = count
        return times

    def fold(
        self, user_id: UUID, state: Counter[int] | None, events: Sequence[Recorded | Discarded]
    ) -> Applied:
        times = Counter(state)
        applied = []
        for recorded in events:
            times[recorded.version] += 1
            applied.append((user_id, recorded.version, times[recorded.version], recorded.position))
        return applied

    async def write(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Applied]
    ) -> None:
        await connection.execute(*self.statement(table, changes), prepare=True)

    def statement(self, table: str, changes: Sequence[Applied]) -> Statement:
        columns = [list(column) for column in zip(*(row for rows in changes for row in rows), strict=True)]
        return _INSERT.format(Identifier(table)).as_bytes(), columns

    async def copy(self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Applied]) -> None:
        await self.write(connection, table, changes)

    def disagreement(self, table: str) -> str:
        return ""


def join_the_catalogue() -> None:
    """From here on this process knows the audit as it knows every read model."""
    known = catalogue.READ_MODELS
    for module in list(sys.modules.values()):
        if getattr(module, "READ_MODELS", None) is known:
            setattr(module, "READ_MODELS", (*known, Audit()))  # noqa: B010
