"""The feed of all users over HTTP, against a bare COPY of the same rows; and how much memory it takes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from bench import serving
from bench.ground import Ground
from bench.load import request
from bench.measuring import Row, in_turns, say
from tests.support.crowd import fill
from tests.support.service import ADMIN

USERS = int(os.environ.get("BENCH_USERS", "200000"))
AIM = 0.1
WANTED = 50_000
_COPY = "COPY (SELECT id, version, document FROM users_v1 ORDER BY id) TO STDOUT (FORMAT BINARY)"


async def measure(ground: Ground) -> list[Row]:
    """One row, in users a second; what is wanted of a feed is fifty thousand."""
    with ground.databases.fresh() as conninfo:
        say(f"  making {USERS:,} users")
        await asyncio.to_thread(fill, conninfo, USERS)
        with serving.running(conninfo, MG_USERS_BCRYPT_COST="4", MG_USERS_DB_POOL_SIZE="2") as address:
            raw = await asyncio.to_thread(_request, address)
            await _fed(address, raw)
            before = _peak()
            row = await in_turns(
                f"feed of {USERS:,} users over HTTP",
                "COPY of the same rows, in the order of their ids",
                lambda: _fed(address, raw),
                lambda: _copied(conninfo),
                aim=AIM,
            )
            say(f"  the server's peak of memory: {before:.0f} MB after one feed, {_peak():.0f} MB after all")
    if row.ours < WANTED:
        say(f"  {row.ours:,.0f} users a second, where {WANTED:,} are wanted of an idle machine")
    return [row]


def _request(address: str) -> bytes:
    login = httpx.post(f"{address}/users/tokens/issue", json=ADMIN)
    login.raise_for_status()
    headers = {"Authorization": f"Bearer {login.json()['access_token']}", "Connection": "close"}
    return request(address, "GET", "/users/feed", headers)


async def _fed(address: str, raw: bytes) -> float:
    """Users a second, from the request to the last line."""
    place = urlsplit(address)
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
    writer.write(raw)
    last = b""
    while data := await reader.read(1 << 20):
        last = (last + data)[-200:]
    elapsed = time.perf_counter() - started
    writer.close()
    assert b'"complete":true' in last, last
    return USERS / elapsed


async def _copied(conninfo: str) -> float:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("SET enable_seqscan = off")
        started = time.perf_counter()
        async with connection.cursor().copy(_COPY) as copy:
            async for _ in copy:
                pass
        return USERS / (time.perf_counter() - started)


def _peak() -> float:
    """The most memory that the server has ever had, in MB; it is the child of ours that serves."""
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"bench.serving" in Path(f"/proc/{child}/cmdline").read_bytes():
                lines = Path(f"/proc/{child}/status").read_text().splitlines()
                return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    raise AssertionError("the server is not running")
