"""A program of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.program import Program, program


@pytest.fixture
def usersd() -> Iterator[Program]:
    """`usersd run` on an empty data folder; the test starts it."""
    with program() as made:
        yield made
