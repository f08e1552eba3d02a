"""Of two services on one database and one broker one is killed: the other goes on with all that it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.everything import check_everything
from tests.support.deployment import Part, deployment
from tests.support.load import SECRET, Load, more_writes, together
from tests.support.waiting import eventually

TAKEOVER = 5.0
"""Seconds within which whatever the dead one did is done by the other."""

_PROJECTIONS = "SELECT owner, position FROM projections WHERE live"
_RELAYS = "SELECT owner, position FROM relays"
_LOG = "SELECT '', max(position) FROM events"


@pytest.fixture
def replicas(database: str) -> Iterator[list[Part]]:
    with deployment(database) as made:
        yield made.started("run", "run")


async def test_the_other_service_goes_on_within_five_seconds(replicas: list[Part]) -> None:
    owner, other = sorted(replicas, key=lambda replica: -replica.owns())
    assert owner.owns() >= 2, owner.rows(_PROJECTIONS)
    loads, stop = [Load(seed=1), Load(seed=2)], asyncio.Event()
    working = [
        asyncio.create_task(load.run(replica.url, stop, workers=3))
        for load, replica in zip(loads, (owner, other), strict=True)
    ]
    for load in loads:
        await more_writes(load, 30)
    owner.kill()
    killed = time.monotonic()
    ((_, head),) = await asyncio.to_thread(other.rows, _LOG)
    await eventually(lambda: beyond(other, _PROJECTIONS, head), TAKEOVER)
    await seen_at_once(other)
    assert time.monotonic() - killed < TAKEOVER
    await eventually(lambda: beyond(other, _RELAYS, head), 2 * TAKEOVER)
    assert owner.owns() == 0, owner.rows(_PROJECTIONS)
    await more_writes(loads[1], 30)
    stop.set()
    await asyncio.gather(*working)
    await check_everything(other, together(loads))


async def beyond(replica: Part, query: str, position: int) -> bool:
    readers = await asyncio.to_thread(replica.rows, query)
    return all(reached > position for _, reached in readers)


async def seen_at_once(replica: Part) -> None:
    """A write is answered when the read model shows it, not when waiting for it was given up."""
    body = {
        "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
        "credentials": {"username": "ada", "secret": SECRET},
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=replica.url, timeout=30, trust_env=False) as http:
        answer = await http.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    assert "usersd-read-model" not in answer.headers
