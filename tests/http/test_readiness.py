"""`/readyz` where the database does worse than to be away."""

from __future__ import annotations

import asyncio

from tests.event_store.proxy import Proxy
from tests.support.service import running_service
from tests.support.waiting import eventually


async def test_of_a_database_that_hangs_every_probe_hears_within_seconds(database: str) -> None:
    async with Proxy(database) as proxy, running_service(proxy.conninfo) as client:

        async def ready() -> bool:
            return (await client.http.get("/readyz", timeout=30)).status_code == 200

        assert await ready()
        proxy.flowing.clear()
        answers = await asyncio.gather(*(client.http.get("/readyz", timeout=30) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["checks"]["postgres"] for answer in answers} == {"no answer within 2 s"}
        proxy.flowing.set()
        await eventually(ready, within=30)
