"""A platform and a users service that lives on it, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.databases import Databases
from tests.support.platform.world import Platform, platform
from tests.support.service import Client


@pytest.fixture(scope="module")
def shared_database(databases: Databases) -> Iterator[str]:
    with databases.fresh() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
async def around() -> AsyncIterator[Platform]:
    async with platform() as made:
        yield made


@pytest.fixture(scope="module")
async def client(shared_database: str, around: Platform) -> AsyncIterator[Client]:
    async with around.service(shared_database) as made:
        yield made
