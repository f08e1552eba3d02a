"""Fixtures shared by all tests: one set of real servers for the run, one database for each test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import nullcontext

import pytest

from infrastructure.embedded import EmbeddedServers
from tests.support.databases import Databases
from tests.support.order import turn
from tests.support.pooler import whole_run
from tests.support.servers import SERVERS, embedded_servers, postgres_15
from tests.support.service import Client, running_service


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL 18 and NATS for the whole run."""
    with embedded_servers() as started:
        yield started


@pytest.fixture(scope="session")
def databases(servers: EmbeddedServers) -> Iterator[Databases]:
    """Databases on the embedded PostgreSQL 18; services reach them through a pooler where the run says so."""
    assert servers.postgres is not None
    with whole_run(servers.postgres) if "USERSD_TESTS_POOLED" in os.environ else nullcontext():
        yield Databases(servers.postgres)


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The conninfo of a migrated, empty database."""
    with databases.fresh() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def databases_15() -> Iterator[Databases]:
    """Databases on the PostgreSQL 15 of the machine's own packages."""
    with postgres_15() as server:
        yield Databases(server)


@pytest.fixture(params=SERVERS)
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database on each PostgreSQL that is supported."""
    chosen: Databases = request.getfixturevalue(
        "databases" if request.param == "PostgreSQL 18" else "databases_15"
    )
    with chosen.fresh() as conninfo:
        yield conninfo


@pytest.fixture
async def client(database: str) -> AsyncIterator[Client]:
    """Somebody who speaks HTTP to a service of this test's own."""
    async with running_service(database) as ready:
        yield ready


def pytest_configure() -> None:
    # A shell without job control has what it starts in the background ignore Ctrl-C, and all that starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # What is imported and collected stays to the end: looking for garbage in it took a tenth of a run.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid.partition("::")[0]))
