"""Pages of `GET /users` and `GET /users/search` among many users, each against the first page: the p95."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from bench import serving
from bench.ground import Ground
from bench.load import busy, request
from bench.measuring import Row, say
from tests.support.crowd import fill
from tests.support.service import ADMIN
from tests.support.walking import next_link

USERS = int(os.environ.get("BENCH_USERS", "200000"))
DEEP = 1000
ROUNDS = 5
SECONDS = 1.0
AIM = 3.0

FIRST = "/users"
PAGES = {
    "a status that few have": "/users?status=disabled",
    "every status": "/users?status=all&order=email",
    "by first name": "/users?order=first_name&dir=asc",
    "role=admin": "/users?role=admin",
    "role=user": "/users?role=user",
    "a rare email": "/users?email=user12345@",
    "an email that nobody has": "/users?email=nowhere",
    "an email's domain, 1%": "/users?email=site13.",
    "an email's domain, all": "/users?email=example.com",
    "the beginning of a username, all": "/users?username=us",
    "a first name, 10%": "/users?first_name=édouard",
    "two names, nobody": "/users?first_name=ada&last_name=hopper",
    "identity": "/users?identity=user777@site1.example.com",
    "name": "/users?name=client 150",
    "an id": "/users?id=5f0c5e0a-6f0c-4b67-8d1f-0d5a4b6c7e8f",
    "a part of an id": "/users?id=5f0c",
    "a tag, 1%": "/users?tag=site-5",
    "all of two tags, 1%": "/users?tags=sensor%2Bsite-5",
    "any of two tags, 2%": "/users?tags=site-5,site-6",
    "a tag, all": "/users?tag=sensor",
    "metadata, one user": '/users?metadata={"number":77}',
    "metadata, 1%": '/users?metadata={"site":7}',
    "metadata, all": '/users?metadata={"plan":"basic"}',
    "a range of creation": "/users?created_from=2026-02-01T00:00:00Z&created_to=2026-02-02T00:00:00Z",
    "a half of creation, by email": "/users?created_to=2026-03-01T00:00:00Z&order=email",
    "search, a rare username": "/users/search?username=user7777",
    "search, a username, all": "/users/search?username=user",
    "search, a first name, 10%": "/users/search?first_name=ad",
}


async def measure(ground: Ground) -> list[Row]:
    """One row for each kind of page."""
    with ground.databases.fresh() as conninfo:
        say(f"  making {USERS:,} users")
        await asyncio.to_thread(fill, conninfo, USERS)
        with serving.running(conninfo, MG_USERS_BCRYPT_COST="4") as address:
            with _caller(address) as caller:
                deep = {"page 1,000 by cursor": _deep(caller, FIRST)}
                deep["page 1,000 by cursor, an email's domain"] = _deep(caller, "/users?email=example.com")
            return await _rows(address, caller.headers["Authorization"], deep | PAGES)


async def _rows(address: str, authorization: str, pages: dict[str, str]) -> list[Row]:
    headers = {"Authorization": authorization}
    p95s: dict[str, list[float]] = {"": [], **{title: [] for title in pages}}
    for number in range(1, ROUNDS + 1):
        say(f"  round {number}")
        for title, path in {"": FIRST, **pages}.items():
            raw = request(address, "GET", quote(path, safe="/?=&%"), headers)
            load = await busy(address, raw, seconds=SECONDS, connections=1)
            assert load.failed == 0, f"{path}: {load.failed} requests failed"
            p95s[title].append(load.p95 * 1000)
    first = p95s.pop("")
    return [
        Row(
            work=f"{title}, p95",
            against=f"the first page of {USERS:,}",
            ours=statistics.median(times),
            limit=statistics.median(first),
            share=statistics.median(ours / limit for ours, limit in zip(times, first, strict=True)),
            aim=AIM,
            unit="ms",
            rounds=ROUNDS,
        )
        for title, times in p95s.items()
    ]


@contextmanager
def _caller(address: str) -> Iterator[httpx.Client]:
    """Somebody who may list, with a token that outlasts the measuring."""
    with httpx.Client(base_url=address, timeout=60) as client:
        login = client.post("/users/tokens/issue", json=ADMIN)
        login.raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        yield client


def _deep(client: httpx.Client, path: str) -> str:
    """The link to the thousandth page of ten, by way of one offset."""
    answer = client.get(path, params={"limit": 10, "offset": (DEEP - 2) * 10})
    answer.raise_for_status()
    link = next_link(answer)
    assert link is not None
    return link
