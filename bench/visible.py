"""From the request that writes to the list that shows it, one at a time."""

from __future__ import annotations

import asyncio
import time

import httpx

from bench import serving
from bench.ground import Ground
from bench.measuring import Row, say

WRITES = 1000
USERS = 100
AIM_MS = 50.0


async def measure(ground: Ground) -> list[Row]:
    """One row: PATCH without waiting for the read model, then the list until it shows the new name."""
    with serving.on_fresh_database(ground, MG_USERS_BCRYPT_COST="4") as address:
        times = await asyncio.to_thread(_times, address)
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    say(f"  write to visible: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return [
        Row(
            work="write to visible in the list, one at a time, p99",
            against="p50 beside it",
            ours=p99,
            limit=p50,
            share=p99,
            aim=AIM_MS,
            unit="ms",
            rounds=WRITES,
        )
    ]


def _times(address: str) -> list[float]:
    admin = {"identity": "admin@example.com", "secret": "12345678"}
    times: list[float] = []
    with httpx.Client(base_url=address) as client:
        login = client.post("/users/tokens/issue", json=admin)
        headers = {"Authorization": f"Bearer {login.json()['access_token']}", "Prefer": "respond-async"}
        users = [_register(client, number) for number in range(USERS)]
        for number in range(WRITES):
            name = f"Eve {number}"
            started = time.perf_counter()
            answer = client.patch(
                f"/users/{users[number % USERS]}", json={"first_name": name}, headers=headers
            )
            answer.raise_for_status()
            while name not in client.get("/users?limit=1", headers=headers).text:
                pass
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times)


def _register(client: httpx.Client, number: int) -> str:
    account = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": f"ada{number}@example.com",
        "credentials": {"username": f"ada{number}", "secret": "changeMe123"},
    }
    registered = client.post("/users", json=account)
    registered.raise_for_status()
    user_id: str = registered.json()["id"]
    return user_id
