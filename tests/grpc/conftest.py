"""Worlds for the tests of gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.grpc.world import World, world
from tests.support.databases import Databases


@pytest.fixture(scope="module")
def shared_database(databases: Databases) -> Iterator[str]:
    with databases.fresh() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
async def here(shared_database: str) -> AsyncIterator[World]:
    """One service for the tests of a file that can live with what the others leave behind."""
    async with world(shared_database) as made:
        yield made
