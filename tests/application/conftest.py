"""One world for each test."""

from __future__ import annotations

import pytest

from tests.support.memory import World


@pytest.fixture
def world() -> World:
    """A world with open registration and nobody in it."""
    return World()
