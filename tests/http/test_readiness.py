"""`/readyz` where the database is away or does worse: in words that whoever runs it knows."""

from __future__ import annotations

import asyncio

import psycopg

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


async def test_what_is_wrong_is_told_in_words_and_names_neither_host_nor_user(database: str) -> None:
    async with Proxy(database) as proxy, running_service(proxy.conninfo) as client:

        async def told(words: dict[str, str]) -> bool:
            answer = await client.http.get("/readyz", timeout=30)
            checks = answer.json()["checks"]
            return bool(answer.status_code == 503 and checks == checks | words)

        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE schema_migrations RENAME TO elsewhere")
            assert await told({"postgres": "ok", "schema": "migrations are missing: run usersd migrate"})
            connection.execute("ALTER TABLE elsewhere RENAME TO schema_migrations")
        proxy.mode = "refuse"
        proxy._cut_all()
        await eventually(lambda: told({"postgres": "no connection within 1 s"}), within=30)
