"""What the pool lends is whole, and nobody is asked whether it is."""

from __future__ import annotations

import psycopg
from psycopg_pool import AsyncConnectionPool

from infrastructure.postgres.pool import open_pool


async def pid_of_next(pool: AsyncConnectionPool) -> int:
    async with pool.connection() as connection:
        return connection.info.backend_pid


async def test_a_connection_that_was_ended_while_it_lay_idle_is_not_lent(database: str) -> None:
    async with (
        open_pool(database, 1) as pool,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as admin,
    ):
        before = await pid_of_next(pool)
        await admin.execute("SELECT pg_terminate_backend(%s, 10000)", (before,))
        async with pool.connection() as connection:
            assert connection.info.backend_pid != before
            await connection.execute("SELECT 1")


async def test_lending_a_connection_costs_no_statement(database: str) -> None:
    async with (
        open_pool(database, 1) as pool,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as admin,
    ):
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
            await connection.execute("SELECT 'the last one'")
        assert await pid_of_next(pool) == pid
        found = await admin.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,))
        assert await found.fetchone() == ("SELECT 'the last one'",)


async def test_a_connection_that_was_told_something_meanwhile_is_lent_all_the_same(database: str) -> None:
    async with (
        open_pool(database, 1) as pool,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as admin,
    ):
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
            await connection.execute("LISTEN news")
        await admin.execute("NOTIFY news")
        assert await pid_of_next(pool) == pid
