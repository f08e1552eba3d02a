"""One varied database, its log in a file, and an empty database for what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exporting import varied
from tests.exporting.varied import Varied
from tests.support.databases import Databases


@pytest.fixture(scope="session")
def source(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Varied]:
    with databases.fresh() as conninfo:
        yield varied.make(conninfo, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def files(source: Varied, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The log of the varied database, and its key."""
    return varied.exported(source, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def empty(databases: Databases) -> Iterator[str]:
    """A database that stays empty, because whatever is brought into it is refused."""
    with databases.fresh() as conninfo:
        yield conninfo
