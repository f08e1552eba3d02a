"""A writer for each test, and each recorder in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.event_store.recorders import Guarded, InMemory, OnPostgres, recorder_on
from tests.event_store.writing import Writer
from tests.support.databases import Databases
from tests.support.servers import SERVERS


@pytest.fixture
def writer() -> Writer:
    """Prepares commands."""
    return Writer()


@pytest.fixture(params=["memory", *SERVERS])
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """An empty log with its guards: in memory, and on every PostgreSQL that is supported."""
    if request.param == "memory":
        yield InMemory()
        return
    name = "databases" if request.param == "PostgreSQL 18" else "databases_15"
    chosen: Databases = request.getfixturevalue(name)
    with chosen.fresh() as conninfo, recorder_on(conninfo) as recorder:
        yield OnPostgres(conninfo, recorder)
