"""Of two services on one database and one broker one is killed: the other goes on with all that it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.e2e.everything import check_everything
from tests.nats.broker import Broker
from tests.projections.commanding import settings
from tests.support.databases import ROOT_KEY
from tests.support.load import SECRET, Load, more_writes
from tests.support.program import Program
from tests.support.servers import throw_away_folder
from tests.support.waiting import eventually

TAKEOVER = 5.0
"""Seconds within which whatever the dead one did is done by the other."""

_PROJECTIONS = "SELECT owner, position FROM projections WHERE live"
_RELAYS = "SELECT owner, position FROM relays"
_LOG = "SELECT '', max(position) FROM events"


class Replica(Program):
    """A service on servers that are not its own."""

    def __init__(self, home: Path, conninfo: str, broker: Broker) -> None:
        super().__init__(home, **settings(conninfo), MG_USERS_ES_URL=broker.url)
        self._conninfo = conninfo
        self._broker = broker

    @property
    def postgres(self) -> str:
        return self._conninfo

    @property
    def nats(self) -> str:
        return self._broker.url

    @property
    def root_key(self) -> bytes:
        return ROOT_KEY

    def readers(self, query: str = _PROJECTIONS) -> list[tuple[str | None, int]]:
        """Who owns each reader of the log, and where it stands."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def owns(self) -> int:
        """How many read models it looks after."""
        assert self.process is not None
        return sum(f"/{self.process.pid}" in (owner or "") for owner, _ in self.readers())


@contextmanager
def two_replicas(conninfo: str) -> Iterator[tuple[Replica, Replica]]:
    with throw_away_folder() as folder:
        broker = Broker(folder)
        broker.start()
        for name in ("first", "second"):
            (folder / name).mkdir()
        first, second = (Replica(folder / name, conninfo, broker) for name in ("first", "second"))
        try:
            first.start(wait=False)
            second.start(wait=False)
            first.wait_until_ready()
            second.wait_until_ready()
            yield first, second
        finally:
            first.close()
            second.close()
            broker.kill()


@pytest.fixture
def replicas(database: str) -> Iterator[tuple[Replica, Replica]]:
    with two_replicas(database) as both:
        yield both


async def test_the_other_service_goes_on_within_five_seconds(replicas: tuple[Replica, Replica]) -> None:
    owner, other = sorted(replicas, key=lambda replica: -replica.owns())
    assert owner.owns() >= 2, owner.readers()
    loads, stop = [Load(seed=1), Load(seed=2)], asyncio.Event()
    working = [
        asyncio.create_task(load.run(replica.url, stop, workers=3))
        for load, replica in zip(loads, (owner, other), strict=True)
    ]
    for load in loads:
        await more_writes(load, 30)
    owner.kill()
    killed = time.monotonic()
    ((_, head),) = await asyncio.to_thread(other.readers, _LOG)
    await eventually(lambda: beyond(other, _PROJECTIONS, head), TAKEOVER)
    await seen_at_once(other)
    assert time.monotonic() - killed < TAKEOVER
    await eventually(lambda: beyond(other, _RELAYS, head), 2 * TAKEOVER)
    assert owner.owns() == 0, owner.readers()
    await more_writes(loads[1], 30)
    stop.set()
    await asyncio.gather(*working)
    whole = Load(seed=0)
    for load in loads:
        whole.acknowledged += load.acknowledged
        whole.attempted |= load.attempted
        whole.faults += load.faults
    await check_everything(other, whole)


async def beyond(replica: Replica, query: str, position: int) -> bool:
    readers = await asyncio.to_thread(replica.readers, query)
    return all(reached > position for _, reached in readers)


async def seen_at_once(replica: Replica) -> None:
    """A write is answered when the read model shows it, not when waiting for it was given up."""
    body = {
        "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
        "credentials": {"username": "ada", "secret": SECRET},
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=replica.url, timeout=30, trust_env=False) as http:
        answer = await http.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    assert "usersd-read-model" not in answer.headers
