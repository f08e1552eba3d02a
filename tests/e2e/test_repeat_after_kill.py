"""The service is killed between storing a command and answering it, and a repeat finds what was stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import psycopg

from tests.support.load import SECRET
from tests.support.program import Program
from tests.support.waiting import eventually

CALLERS = 24


async def test_a_repeat_after_kill_9_between_store_and_answer_gets_the_outcome(usersd: Program) -> None:
    await asyncio.to_thread(usersd.start)
    before = await _head(usersd)
    async with _held_read_models(usersd), httpx.AsyncClient(timeout=30, trust_env=False) as http:
        asked = [asyncio.create_task(_register(http, usersd.url, number)) for number in range(CALLERS)]

        async def all_stored() -> bool:
            return await _head(usersd) == before + CALLERS

        # Nobody is answered before lists show the write, and nothing projects it.
        await eventually(all_stored)
        assert not any(task.done() for task in asked)
        await asyncio.to_thread(usersd.kill)
        lost = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, httpx.TransportError) for answer in lost)
    await asyncio.to_thread(usersd.start)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        answers = await asyncio.gather(*(_register(http, usersd.url, number) for number in range(CALLERS)))
    for number, answer in enumerate(answers):
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
        assert answer.json()["email"] == f"lost{number}@example.com"
    assert len({answer.headers["usersd-position"] for answer in answers}) == CALLERS
    assert await _head(usersd) == before + CALLERS


@asynccontextmanager
async def _held_read_models(usersd: Program) -> AsyncIterator[None]:
    connection = await psycopg.AsyncConnection.connect(usersd.postgres)
    await connection.execute("SELECT 1 FROM projections FOR UPDATE")
    try:
        yield
    finally:
        # The server has gone by then, with the program that it belongs to.
        with suppress(psycopg.Error):
            await connection.close()


async def _register(http: httpx.AsyncClient, url: str, number: int) -> httpx.Response:
    body = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": f"lost{number}@example.com",
        "credentials": {"username": f"lost{number}", "secret": SECRET},
    }
    return await http.post(f"{url}/users", json=body, headers={"Idempotency-Key": f'"lost {number}"'})


async def _head(usersd: Program) -> int:
    async with await psycopg.AsyncConnection.connect(usersd.postgres) as connection:
        cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM events")
        return int((await cursor.fetchone() or (0,))[0])
