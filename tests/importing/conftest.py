"""An original with the `rows` of the test that asks for it, and ours beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.importing.original_both import Both
from tests.importing.original_crowd import Row, original
from tests.support.databases import Databases


@pytest.fixture
def there(databases: Databases, rows: list[Row]) -> Iterator[str]:
    with original(databases, "magistrala_users", rows) as dsn:
        yield dsn


@pytest.fixture
def both(there: str, database: str) -> Both:
    return Both(there, database)
