"""Pages of `GET /users` and `GET /users/search` among a million users: p95, held against fixed limits.

The same pages are asked for among a tenth as many: what does growing tenfold cost? `BENCH_USERS` names
another number of users.
"""

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

USERS = int(os.environ.get("BENCH_USERS", "1000000"))
DEEP = 10_000
ROUNDS = 5
SECONDS = 0.5
LIST_MS = 25.0
SEARCH_MS = 50.0
TOTAL_MS = 10.0
DEEPER = 1.2
LARGER = 1.3

FIRST = "the first page"
DEEPEST = "page 10,000 by cursor"
DEEPEST_FILTERED = "page 10,000 by cursor, an email's domain"
LISTS = {
    FIRST: "/users?cursor=",
    "a status that few have": "/users?status=disabled&cursor=",
    "every status": "/users?status=all&order=email&cursor=",
    "by creation": "/users?order=created_at&cursor=",
    "by first name": "/users?order=first_name&dir=asc&cursor=",
    "by last name": "/users?order=last_name&cursor=",
    "by username": "/users?order=username&cursor=",
    "by email": "/users?order=email&dir=asc&cursor=",
    "role=admin": "/users?role=admin&cursor=",
    "role=user": "/users?role=user&cursor=",
    "identity": "/users?identity=user777@site1.example.com&cursor=",
    "name": "/users?name=client 150&cursor=",
    "an id": "/users?id=5f0c5e0a-6f0c-4b67-8d1f-0d5a4b6c7e8f&cursor=",
    "a part of an id": "/users?id=5f0c&cursor=",
    "a tag, 1%": "/users?tag=site-5&cursor=",
    "all of two tags, 1%": "/users?tags=sensor%2Bsite-5&cursor=",
    "any of two tags, 2%": "/users?tags=site-5,site-6&cursor=",
    "a tag, all": "/users?tag=sensor&cursor=",
    "metadata, one user": '/users?metadata={"number":77}&cursor=',
    "metadata, 1%": '/users?metadata={"site":7}&cursor=',
    "metadata, all": '/users?metadata={"plan":"basic"}&cursor=',
    "a range of creation": "/users?created_from=2026-02-01T00:00:00Z&created_to=2026-02-02T00:00:00Z&cursor=",
    "a half of creation, by email": "/users?created_to=2026-03-01T00:00:00Z&order=email&cursor=",
}
SEARCHES = {
    "a rare email": "/users?email=user12345@&cursor=",
    "an email that nobody has": "/users?email=nowhere&cursor=",
    "an email's domain, 1%": "/users?email=site13.&cursor=",
    "an email's domain, all": "/users?email=example.com&cursor=",
    "the beginning of a username, all": "/users?username=us&cursor=",
    "a first name, 10%": "/users?first_name=édouard&cursor=",
    "a last name in Chinese, 12%": "/users?last_name=小龙女&cursor=",
    "two names, 1%": "/users?first_name=ada&last_name=hopper&cursor=",
    "search, a rare username": "/users/search?username=user7777&cursor=",
    "search, a username, all": "/users/search?username=user&cursor=",
    "search, a first name, 10%": "/users/search?first_name=ad&cursor=",
}
TOTALS = {
    "total of a status": "/users?only_total=true&status=disabled",
    "total of a role": "/users?only_total=true&role=user&status=all",
}
EXACT = {
    "page 10,000 by offset": "/users?offset=99990",
    "an email's domain, all, total exact": "/users?email=example.com",
    "a tag, all, total exact": "/users?tag=sensor",
    "metadata, all, total exact": '/users?metadata={"plan":"basic"}',
}
"""What old clients ask for; no aim."""

GROWING = (
    FIRST,
    DEEPEST,
    "every status",
    "by first name",
    "identity",
    "an id",
    "a tag, 1%",
    "total of a status",
)
"""Of what growth is measured: pages, lookups and totals that find as many among ten times as many users."""

Times = dict[str, list[float]]


async def measure(ground: Ground) -> list[Row]:
    """A row for each kind of page, for depth, and for growth."""
    fewer, more = await _times(ground, USERS // 10), await _times(ground, USERS)
    limits = {
        **dict.fromkeys([*LISTS, DEEPEST, DEEPEST_FILTERED], LIST_MS),
        **dict.fromkeys(SEARCHES, SEARCH_MS),
        **dict.fromkeys(TOTALS, TOTAL_MS),
    }
    rows = [_against(title, more[title], limit) for title, limit in limits.items()]
    rows.append(_ratio(DEEPEST, more[DEEPEST], FIRST, more[FIRST], DEEPER))
    rows += [
        _ratio(
            f"{title}, {USERS:,} users", more[title], f"the same, {USERS // 10:,} users", fewer[title], LARGER
        )
        for title in GROWING
    ]
    return rows + [_against(title, more[title], LIST_MS, aim=None) for title in EXACT]


async def _times(ground: Ground, users: int) -> Times:
    """The p95 in milliseconds of each round, by kind of page."""
    with ground.databases.fresh() as conninfo:
        say(f"  making {users:,} users")
        await asyncio.to_thread(fill, conninfo, users)
        with serving.running(conninfo, MG_USERS_BCRYPT_COST="4") as address:
            with _caller(address) as caller:
                deep = {DEEPEST: _deep(caller, "/users", users)}
                deep[DEEPEST_FILTERED] = _deep(caller, "/users?email=example.com", users)
            pages = LISTS | deep | SEARCHES | TOTALS | EXACT
            return await _rounds(address, caller.headers["Authorization"], pages)


async def _rounds(address: str, authorization: str, pages: dict[str, str]) -> Times:
    times: Times = {title: [] for title in pages}
    for number in range(1, ROUNDS + 1):
        say(f"  round {number}")
        for title, path in pages.items():
            raw = request(address, "GET", quote(path, safe="/?=&%"), {"Authorization": authorization})
            load = await busy(address, raw, seconds=SECONDS, connections=1)
            assert load.failed == 0, f"{path}: {load.failed} requests failed"
            times[title].append(load.p95 * 1000)
    return times


def _against(title: str, times: list[float], limit: float, aim: float | None = 1.0) -> Row:
    ours = statistics.median(times)
    return Row(
        work=f"{title}, p95 of {USERS:,}", against=f"{limit:g} ms", ours=ours, limit=limit,
        share=ours / limit, aim=aim, unit="ms", rounds=ROUNDS,
    )  # fmt: skip


def _ratio(work: str, ours: list[float], against: str, theirs: list[float], aim: float) -> Row:
    return Row(
        work=f"{work}, p95", against=against, ours=statistics.median(ours), limit=statistics.median(theirs),
        share=statistics.median(ours) / statistics.median(theirs), aim=aim, unit="ms", rounds=ROUNDS,
    )  # fmt: skip


@contextmanager
def _caller(address: str) -> Iterator[httpx.Client]:
    """Somebody who may list, with a token that outlasts the measuring."""
    with httpx.Client(base_url=address, timeout=60) as client:
        login = client.post("/users/tokens/issue", json=ADMIN)
        login.raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        yield client


def _deep(client: httpx.Client, path: str, users: int) -> str:
    """The link to the ten thousandth page of ten, or nearly the last, by way of one offset."""
    return _link_to(client, path, min(DEEP, users // 11))


def deep_page(address: str, authorization: str, path: str, page: int) -> str:
    """The link to a page of ten, as the page before it gives it."""
    with httpx.Client(base_url=address, timeout=60, headers={"Authorization": authorization}) as client:
        return _link_to(client, path, page)


def _link_to(client: httpx.Client, path: str, page: int) -> str:
    answer = client.get(path, params={"limit": 10, "offset": (page - 2) * 10})
    answer.raise_for_status()
    link = next_link(answer)
    assert link is not None
    return link
