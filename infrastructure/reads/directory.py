"""Queries on the read models, over a pool for lists and shared statements for single users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import psycopg
from msgspec.structs import replace
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.listing import Found, Part, UserFilter
from application.messages import Page
from application.ports import ANY_FRESHNESS, Freshness, UserRow, WalkedPage
from domain.errors import Unavailable
from domain.user import User
from infrastructure.postgres.lending import Connection
from infrastructure.postgres.reads import NOT_BUILT, PointReads
from infrastructure.postgres.replica import Replica
from infrastructure.reads.fresh import LISTED, TIMELINE, FreshReads
from infrastructure.roles import Role
from infrastructure.settings import Settings
from infrastructure.standing import Standing
from projections.history.reader import timeline
from projections.users.reader import POINT_READ, list_users, render, rows_by_id
from projections.users.walk import FIRST, Behind, walk_page

WALKS_AT_ONCE = 2
"""Walks that read a page at the same time; however many there are, the rest of the pool is for others."""


class PostgresDirectory:
    """Implements the port UserDirectory.

    A replica answers lists and timelines of those who ask for a position; with `replica_lists` also those
    of all others, and feeds.
    """

    def __init__(
        self,
        conninfo: str,
        pool: AsyncConnectionPool,
        replica: Replica | None = None,
        *,
        replica_lists: bool = False,
    ) -> None:
        self._pool = pool
        self.replica = replica
        self._fresh = FreshReads(conninfo, self._connection, replica, always=replica_lists)
        self._walking = asyncio.Semaphore(WALKS_AT_ONCE)
        self._rows: PointReads[UUID, UserRow] = PointReads(conninfo, POINT_READ, rows_by_id)

    async def find(self, user_id: UUID) -> UserRow | None:
        return await self._rows.get(user_id)

    async def list(
        self, filter: UserFilter, part: Part, *, cards: bool = False, freshness: Freshness = ANY_FRESHNESS
    ) -> Found:
        read = partial(list_users, filter=filter, part=part, cards=cards)
        found, position = await self._fresh.read(LISTED, freshness, read)
        return found if position is None else replace(found, position=position)

    async def walk(self, after: UUID | None, position: int) -> AsyncIterator[WalkedPage]:
        last = after or FIRST
        while True:
            try:
                page = await self._fresh.of_replica(partial(_walk_there, after=last, position=position))
                if page is None:
                    async with self._walking, self._connection() as connection:
                        page = await walk_page(connection, last, position)
            except Behind:
                raise Unavailable("The read model is behind the log; the feed goes on later.") from None
            if page.users or page.parked:
                yield page
            if not page.users:
                return
            last = page.users[-1].id

    async def history(
        self, user_id: UUID, limit: int, offset: int, *, freshness: Freshness = ANY_FRESHNESS
    ) -> Page:
        read = partial(timeline, user_id=user_id, limit=limit, offset=offset)
        page, position = await self._fresh.read(TIMELINE, freshness, read)
        return page if position is None else replace(page, position=position)

    def render(self, user: User) -> UserRow:
        return render(user)

    async def close(self) -> None:
        await self._rows.close()
        await self._fresh.close()
        if self.replica is not None:
            await self.replica.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except psycopg.errors.UndefinedTable:
            raise Unavailable(NOT_BUILT) from None
        except (psycopg.OperationalError, PoolTimeout):
            raise Unavailable from None


@asynccontextmanager
async def open_directory(
    settings: Settings, standing: Standing, pool: AsyncConnectionPool, role: Role = Role.RUN
) -> AsyncIterator[PostgresDirectory]:
    """The directory of a service, with its replica where the settings name one.

    A role that answers tries the replica out first.
    """
    replica = Replica(standing.replica, standing.direct, settings.db_pool_size) if standing.replica else None
    lists = settings.db_replica_lists
    directory = PostgresDirectory(standing.conninfo, pool, replica, replica_lists=lists)
    try:
        if replica and role.answers:
            await replica.try_out()
        yield directory
    finally:
        await directory.close()


async def _walk_there(connection: Connection, after: UUID, position: int) -> WalkedPage | None:
    """A page of the replica; None where it is behind what the walk promises."""
    try:
        return await walk_page(connection, after, position)
    except Behind:
        return None
