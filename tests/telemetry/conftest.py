"""Receivers of what the service sends, and a broker for the tests that follow an event to the world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nats.broker import Broker
from tests.support.servers import throw_away_folder
from tests.telemetry.receiver import Receiver, receiver


@pytest.fixture
def collector() -> Iterator[Receiver]:
    """Takes what is sent to it."""
    with receiver() as kept:
        yield kept


@pytest.fixture
def broker() -> Iterator[Broker]:
    with throw_away_folder() as folder:
        server = Broker(Path(folder))
        server.start()
        yield server
        server.kill()
