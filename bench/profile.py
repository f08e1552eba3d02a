"""`GET /users/profile` against the same server answering a constant."""

from __future__ import annotations

import asyncio

import httpx
import msgspec

from bench import serving
from bench.ground import Ground
from bench.load import CONNECTIONS, busy, request
from bench.measuring import Row, in_turns


async def measure(ground: Ground) -> list[Row]:
    """One row."""
    with serving.on_fresh_database(ground, MG_USERS_BCRYPT_COST="4") as address:
        token = (await asyncio.to_thread(register_and_log_in, address)).token

        async def ours() -> float:
            raw = request(address, "GET", "/users/profile", {"Authorization": f"Bearer {token}"})
            load = await busy(address, raw)
            assert load.failed == 0, f"{load.failed} requests failed"
            return load.per_second

        async def limit() -> float:
            return (await busy(address, request(address, "GET", "/constant", {}))).per_second

        work = f"GET /users/profile, {CONNECTIONS} connections"
        return [await in_turns(work, "a constant from the same server", ours, limit, aim=0.4, rounds=5)]


class SignedIn(msgspec.Struct, frozen=True):
    """Somebody who has just registered and logged in."""

    id: str
    token: str


def register_and_log_in(address: str) -> SignedIn:
    """Register Ada and log her in."""
    account = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "credentials": {"username": "ada", "secret": "changeMe123"},
    }
    with httpx.Client(base_url=address) as client:
        registered = client.post("/users", json=account)
        registered.raise_for_status()
        login = client.post("/users/tokens/issue", json={"identity": "ada", "secret": "changeMe123"})
        login.raise_for_status()
        return SignedIn(registered.json()["id"], login.json()["access_token"])
