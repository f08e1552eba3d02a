"""A PostgreSQL for the session with a database per test, and a NATS server per test that may be killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infrastructure.embedded import start
from infrastructure.postgres.migrate import migrate
from tests.nats.broker import Broker
from tests.nats.service import Service


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The server that USERSD_TEST_POSTGRES names, or else one of our own."""
    if given := os.environ.get("USERSD_TEST_POSTGRES"):
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-"))
    # The embedded server may run as a lesser user, who has to pass.
    folder.chmod(0o711)
    with start(folder / "data", nats=False, durable=False) as servers:
        assert servers.postgres is not None
        yield servers.postgres
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[tuple[str, str]]:
    """A migrated, empty database to copy from."""
    name = f"nats_template_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    migrate(make_conninfo(postgres, dbname=name))
    yield postgres, name
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database(template: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[str]:
    postgres, name = template
    copy = f"nats_test_{os.getpid()}_{abs(hash(request.node.nodeid)) % 10**8}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name}".encode())
    yield make_conninfo(postgres, dbname=copy)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {copy} WITH (FORCE)".encode())


@pytest.fixture
def broker() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-nats-"))
    server = Broker(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
async def service(database: str, broker: Broker) -> AsyncIterator[Service]:
    """The log of a users service, to which tests append and which relays publish."""
    async with Service(database, broker.url) as running:
        yield running
