"""Refresh with rotation over HTTP against the bare rotation of the same rows in PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from uuid import UUID

import httpx
import msgspec
import psycopg

from application.messages import Tokens
from bench import serving
from bench.ground import Ground
from bench.load import CONNECTIONS, chained, request
from bench.measuring import Row, in_turns, say
from bench.profile import register_and_log_in

SECONDS = 4.0
LIMIT_CONNECTIONS = 16
AT_LEAST = 400
"""Refreshes a second on two cores that the service is meant to reach."""

_BARE = "UPDATE sessions SET token_hash = %s, rotated_at = %s, expires_at = %s WHERE id = %s RETURNING epoch"


async def measure(ground: Ground) -> list[Row]:
    """One row."""
    with (
        ground.databases.fresh() as conninfo,
        serving.running(conninfo, MG_USERS_BCRYPT_COST="4", MG_USERS_THROTTLE="false") as address,
    ):
        await asyncio.to_thread(register_and_log_in, address)

        async def ours() -> float:
            tokens = await asyncio.to_thread(_log_in, address, CONNECTIONS)
            first = [_refresh(address, token) for token in tokens]

            def follow(body: bytes) -> bytes:
                return _refresh(address, msgspec.json.decode(body, type=Tokens).refresh_token)

            load = await chained(address, first, follow, expected=201, seconds=SECONDS)
            assert load.failed == 0, f"{load.failed} refreshes failed"
            if load.per_second < AT_LEAST:
                say(f"  below the {AT_LEAST}/s that are meant to be reached")
            return load.per_second

        async def limit() -> float:
            # Rows that nobody has rotated yet.
            await asyncio.to_thread(_log_in, address, LIMIT_CONNECTIONS)
            return await _bare(conninfo)

        work = f"refresh with rotation, {CONNECTIONS} connections"
        against = f"bare UPDATE … RETURNING of session rows, {LIMIT_CONNECTIONS} connections"
        return [await in_turns(work, against, ours, limit, aim=0.15)]


def _log_in(address: str, sessions: int) -> list[str]:
    with httpx.Client(base_url=address) as client:
        body = {"identity": "ada", "secret": "changeMe123"}
        return [
            client.post("/users/tokens/issue", json=body).raise_for_status().json()["refresh_token"]
            for _ in range(sessions)
        ]


def _refresh(address: str, token: str) -> bytes:
    return request(
        address,
        "POST",
        "/users/tokens/refresh",
        {"Authorization": f"Bearer {token}", "Content-Length": "0"},
    )


async def _bare(conninfo: str) -> float:
    connections = [
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) for _ in range(LIMIT_CONNECTIONS)
    ]
    query = "SELECT id FROM sessions ORDER BY created_at DESC LIMIT %s"
    ids = await (await connections[0].execute(query, (LIMIT_CONNECTIONS,))).fetchall()
    until = time.perf_counter() + SECONDS / 2

    async def caller(connection: psycopg.AsyncConnection, session_id: UUID) -> int:
        done = 0
        while time.perf_counter() < until:
            now = datetime.now(UTC)
            digest = hashlib.sha256(str(done).encode()).digest()
            await connection.execute(_BARE, (digest, now, now, session_id), prepare=True)
            done += 1
        return done

    started = time.perf_counter()
    work = [caller(connection, row[0]) for connection, row in zip(connections, ids, strict=True)]
    done = sum(await asyncio.gather(*work))
    elapsed = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return done / elapsed
