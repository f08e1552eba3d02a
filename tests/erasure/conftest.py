"""A service with a broker of its own, whose sweeps and erasures the tests call for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.erasure.world import World, running_world
from tests.nats.broker import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-nats-"))
    server = Broker(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
async def world(database: str, broker: Broker, tmp_path: Path) -> AsyncIterator[World]:
    """A whole service, its clock in the test's hand."""
    async with running_world(database, broker, tmp_path / "ledger.ndjson") as made:
        yield made
