"""One generation of a read model in the hands of whoever alone may write it, and how it takes in pages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from projections.page import Aside, fold_page, park, parked, write_page
from projections.readmodel import ReadModel, table_name

_STANDING = "SELECT position, state FROM projections WHERE name = %s AND version = %s AND generation = %s"

_MOVE = """
UPDATE projections SET position = %s, advanced_at = now()
WHERE name = %s AND version = %s AND generation = %s"""

_STATE = """
UPDATE projections
SET left_at = CASE WHEN live THEN clock_timestamp() ELSE left_at END,
    state = %s, fencing = fencing + 1, owner = NULL, lease_until = '-infinity'
WHERE name = %s AND version = %s AND generation = %s"""

_TELL = "SELECT pg_notify('usersd_generations', '')"
"""Tells projectors that they have another generation to follow, or that one is read now."""

_HEAD = "SELECT coalesce(max(position), 0) FROM events"


class Generation(msgspec.Struct):
    """Where a generation stands; `waiting` is what it does not take in."""

    model: ReadModel
    number: int
    position: int
    state: str
    waiting: Aside

    @property
    def table(self) -> str:
        return table_name(self.model, self.number)

    @property
    def key(self) -> tuple[str, int, int]:
        return self.model.name, self.model.version, self.number

    async def apply(
        self,
        connection: psycopg.AsyncConnection,
        page: Sequence[Recorded | Unreadable],
        *,
        from_empty: bool = False,
    ) -> None:
        """Write a page and move the position, within the caller's transaction."""
        await self.take_in(connection, page, from_empty=from_empty)
        self.position = page[-1].position
        await connection.execute(_MOVE, (self.position, *self.key))

    async def take_in(
        self,
        connection: psycopg.AsyncConnection,
        page: Sequence[Recorded | Unreadable],
        *,
        from_empty: bool = False,
    ) -> None:
        """Write a page within the transaction of a caller who keeps the position."""
        model = self.model
        folded = await fold_page(connection, model, self.table, page, self.waiting, from_empty=from_empty)
        poison = await write_page(connection, model, self.table, folded)
        await park(connection, model, self.number, poison)
        self.waiting.park(poison)

    async def become(self, connection: psycopg.AsyncConnection, state: str) -> None:
        """Change what the generation is for; whoever owned it is fenced."""
        await connection.execute(_STATE, (state, *self.key))
        await connection.execute(_TELL)
        self.state = state


async def look_at(connection: psycopg.AsyncConnection, model: ReadModel, number: int) -> Generation:
    """Where a generation stands now. Raises LookupError where there is none."""
    key = (model.name, model.version, number)
    row = await (await connection.execute(_STANDING, key)).fetchone()
    if row is None:
        raise LookupError(f"{model.name} has no generation {number}")
    return Generation(model, number, row[0], row[1], await parked(connection, model, number))


async def head_of(connection: psycopg.AsyncConnection) -> int:
    """The position of the last event."""
    row = await (await connection.execute(_HEAD)).fetchone()
    assert row is not None
    return int(row[0])
