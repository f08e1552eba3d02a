"""From the request that writes to the list that shows it, one at a time."""

from __future__ import annotations

import asyncio
import time

import httpx

from bench import serving
from bench.ground import Ground
from bench.measuring import Row, say
from bench.profile import register_and_log_in

WRITES = 1000
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
    user = register_and_log_in(address)
    admin = {"identity": "admin@example.com", "secret": "12345678"}
    times: list[float] = []
    with httpx.Client(base_url=address) as client:
        login = client.post("/users/tokens/issue", json=admin)
        headers = {"Authorization": f"Bearer {login.json()['access_token']}", "Prefer": "respond-async"}
        for number in range(WRITES):
            name = f"Ada {number}"
            started = time.perf_counter()
            client.patch(f"/users/{user.id}", json={"first_name": name}, headers=headers).raise_for_status()
            while name not in client.get("/users?limit=1", headers=headers).text:
                pass
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times)
