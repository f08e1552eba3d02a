"""A log to write, on each PostgreSQL that is supported."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.writer import Writer


@pytest.fixture
async def writer(any_database: str) -> AsyncIterator[Writer]:
    """Appends to an empty log."""
    async with Writer(any_database) as ready:
        yield ready
