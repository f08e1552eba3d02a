"""Services for the tests of the HTTP contract, every answer of which is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.http.answers import check
from tests.support.databases import Databases
from tests.support.service import Client, running_service


class Cast(msgspec.Struct, frozen=True):
    """A service that many tests share, and who is who on it."""

    client: Client
    admin: dict[str, str]
    user: dict[str, Any]
    user_headers: dict[str, str]
    other: dict[str, Any]
    other_headers: dict[str, str]

    @property
    def path(self) -> str:
        return f"/users/{self.user['id']}"

    async def head(self) -> int:
        return await self.client.service.bus.ports.log.head()


@asynccontextmanager
async def checked_service(conninfo: str, **options: Any) -> AsyncIterator[Client]:
    """A service of which every answer is checked."""
    async with running_service(conninfo, **options) as ready:
        ready.http.event_hooks["response"].append(check)
        yield ready


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    """Somebody who speaks HTTP to a service of this test's own."""
    async with checked_service(database) as ready:
        yield ready


@pytest.fixture(scope="module")
def shared_database(databases: Databases) -> Iterator[str]:
    with databases.fresh() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
async def cast(shared_database: str) -> AsyncIterator[Cast]:
    """One service for the tests of a file that can live with what the others leave behind."""
    async with checked_service(shared_database) as client:
        user, other = await client.register(), await client.register()
        yield Cast(
            client,
            await client.as_admin(),
            user,
            await client.as_user(user["email"]),
            other,
            await client.as_user(other["email"]),
        )


@pytest.fixture
async def nothing_stored(cast: Cast) -> AsyncIterator[None]:
    """Fails a test after which the log is longer than before it."""
    before = await cast.head()
    yield
    assert await cast.head() == before
