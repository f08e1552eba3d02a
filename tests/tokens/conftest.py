"""Sessions, tokens and accounts on a database with one user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from application.ports import Credential
from domain.events import Event
from domain.values import Role
from infrastructure.accounts.lookup import PostgresAccounts
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.keyring import open_keyring
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.sessions import PostgresSessions
from infrastructure.tokens.signing import SigningKey
from tests.event_store.writing import Writer
from tests.support.databases import ROOT_KEY

ISSUER, AUDIENCE = "usersd", "clients"
ACCESS_LIFE, REFRESH_LIFE = timedelta(minutes=15), timedelta(hours=24)


class Ground:
    """What tokens stand on, and the user Ada."""

    def __init__(self, conninfo: str, pool: AsyncConnectionPool, appender: Appender) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self.keyring = open_keyring(connection, ROOT_KEY)
        self.conninfo = conninfo
        self.pool = pool
        self.appender = appender
        self.writer = Writer(self.keyring)
        self.accounts = PostgresAccounts(conninfo, self.keyring, pool)
        self.sessions = PostgresSessions(pool, self.keyring, life=REFRESH_LIFE, issuer=ISSUER)
        self.key = SigningKey.make("ES256")
        self.tokens = LocalTokens([self.key], life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE)
        self.ada = UUID(int=0)

    async def register(self, name: str, role: Role = Role.USER) -> UUID:
        command = self.writer.register(name, role)
        assert (await self.appender.append(command)).outcome == "stored"
        return command.stream_id

    async def happens(self, *events: Event) -> None:
        """Something happens to Ada."""
        assert (await self.appender.append(self.writer.change(self.ada, *events))).outcome == "stored"

    async def account(self) -> Credential:
        found = await self.accounts.of(self.ada)
        assert found is not None
        return found

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.pool.connection() as connection:
            return list(await (await connection.execute(query.encode())).fetchall())


@pytest.fixture
async def ground(database: str) -> AsyncIterator[Ground]:
    """One database with one user."""
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        database, min_size=6, max_size=8, kwargs={"autocommit": True}, open=False
    )
    async with pool, Appender(database) as appender:
        await pool.wait()
        made = Ground(database, pool, appender)
        made.ada = await made.register("ada")
        yield made
        await made.accounts.close()
        await made.sessions.close()
