"""Queries on the read models, over a pool for lists and shared statements for single users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.listing import Found, Part, UserFilter
from application.messages import Page
from application.ports import UserRow, WalkedPage
from domain.errors import Unavailable
from domain.user import User
from infrastructure.postgres.reads import NOT_BUILT, PointReads
from projections.history.reader import timeline
from projections.users.reader import POINT_READ, list_users, render, rows_by_id
from projections.users.walk import FIRST, Behind, walk_page

WALKS_AT_ONCE = 2
"""Walks that read a page at the same time; however many there are, the rest of the pool is for others."""


class PostgresDirectory:
    """Implements the port UserDirectory."""

    def __init__(self, conninfo: str, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._walking = asyncio.Semaphore(WALKS_AT_ONCE)
        self._rows: PointReads[UUID, UserRow] = PointReads(conninfo, POINT_READ, rows_by_id)

    async def find(self, user_id: UUID) -> UserRow | None:
        return await self._rows.get(user_id)

    async def list(self, filter: UserFilter, part: Part, *, cards: bool = False) -> Found:
        async with self._connection() as connection:
            return await list_users(connection, filter, part, cards=cards)

    async def walk(self, after: UUID | None, position: int) -> AsyncIterator[WalkedPage]:
        last = after or FIRST
        while True:
            try:
                async with self._walking, self._connection() as connection:
                    page = await walk_page(connection, last, position)
            except Behind:
                raise Unavailable("The read model is behind the log; the feed goes on later.") from None
            if page.users or page.parked:
                yield page
            if not page.users:
                return
            last = page.users[-1].id

    async def history(self, user_id: UUID, limit: int, offset: int) -> Page:
        async with self._connection() as connection:
            return await timeline(connection, user_id, limit, offset)

    def render(self, user: User) -> UserRow:
        return render(user)

    async def close(self) -> None:
        await self._rows.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except psycopg.errors.UndefinedTable:
            raise Unavailable(NOT_BUILT) from None
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None
