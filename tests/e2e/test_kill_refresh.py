"""The service is killed again and again among refreshes, and every client's token still leads on."""

from __future__ import annotations

import asyncio
import os
import random

import httpx

from tests.support.program import Program
from tests.support.service import ADMIN, bearer

ROUNDS = int(os.environ.get("USERSD_KILL_REFRESH_ROUNDS", "4"))
SEED = int(os.environ.get("USERSD_KILL_SEED", "20261122"))
CLIENTS = 12


class Caller:
    """A client that keeps the last refresh token it has been given."""

    def __init__(self) -> None:
        self.token = ""
        self.refreshed = 0
        self.refused: list[str] = []

    async def log_in(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("/users/tokens/issue", json=ADMIN)
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["refresh_token"]

    async def refresh(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("/users/tokens/refresh", headers=bearer(self.token))
        if answer.status_code == 201:
            self.token = answer.json()["refresh_token"]
            self.refreshed += 1
        elif answer.status_code != 503:
            self.refused.append(answer.text)

    async def go_on(self, http: httpx.AsyncClient) -> None:
        """Refresh until the service is gone."""
        while True:
            try:
                await self.refresh(http)
            except httpx.TransportError:
                return


async def test_no_kill_leaves_a_client_with_a_token_that_leads_nowhere(usersd: Program) -> None:
    """Every other time the servers and their nanny are killed with it, as when the power fails."""
    callers, chance = [Caller() for _ in range(CLIENTS)], random.Random(SEED)
    for number in range(ROUNDS):
        await asyncio.to_thread(usersd.start)
        async with httpx.AsyncClient(base_url=usersd.url, trust_env=False, timeout=30) as http:
            if number == 0:
                await asyncio.gather(*(caller.log_in(http) for caller in callers))
            before = [caller.refreshed for caller in callers]
            working = [asyncio.create_task(caller.go_on(http)) for caller in callers]
            wanted = sum(before) + chance.randint(30, 150)
            while sum(caller.refreshed for caller in callers) < wanted:
                assert not any(task.done() for task in working), usersd.output()
                assert not any(caller.refused for caller in callers)
                await asyncio.sleep(0)
            await asyncio.to_thread(usersd.kill_everything if number % 2 else usersd.kill)
            await asyncio.gather(*working)
    await asyncio.to_thread(usersd.start)
    async with httpx.AsyncClient(base_url=usersd.url, trust_env=False, timeout=30) as http:
        for caller in callers:
            before_last = caller.refreshed
            await caller.refresh(http)
            assert (caller.refreshed, caller.refused) == (before_last + 1, [])
