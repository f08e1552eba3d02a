"""Pages of a list of two hundred thousand users beside the peers': the first, and the ten thousandth."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from urllib.parse import quote

import psycopg

from bench.ground import Ground
from bench.lists import deep_page
from bench.load import Load, busy, each, request
from bench.measuring import Row, say
from bench.peers.dialects import Dialect, Ours, Session
from bench.peers.running import Contender, Contenders, contenders
from bench.peers.turns import compared, signed_up
from tests.support.crowd import fill

USERS = int(os.environ.get("BENCH_USERS", "200000"))
DEEP = 10_000
CONNECTIONS = 8
SECONDS = 3.0

_FILLED = {
    "FastAPI-Users": (
        'UPDATE "user" SET is_superuser = true',
        """INSERT INTO "user" (id, email, hashed_password, is_active, is_superuser, is_verified, first_name,
            last_name)
        SELECT gen_random_uuid(), 'user' || i || '@site' || i %% 97 || '.example.com', 'none', true, false,
            true, 'Ada', 'Lovelace' FROM generate_series(1, %s) AS i""",
    ),
    "better-auth": (
        """UPDATE "user" SET role = 'admin'""",
        """INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt", role)
        SELECT md5(i::text), 'Ada Lovelace', 'user' || i || '@site' || i %% 97 || '.example.com', true,
            now() - i * interval '1 minute', now(), 'user' FROM generate_series(1, %s) AS i""",
    ),
}


async def measure(ground: Ground) -> list[Row]:
    """Two rows for each peer."""
    deep = min(DEEP, USERS // 11)
    with contenders(4) as found:
        # Made once, straight into the tables, and asked for in every round.
        await _made(found.ours, _fill_ours)
        for peer in found.peers:
            await signed_up(peer.dialect, range(1))
            await _made(peer, _fill)
        admins = {one.dialect.name: await _admin(one.dialect) for one in (found.ours, *found.peers)}
        return [
            *await _pages(found, admins, 1, f"page 1 of {USERS:,} users"),
            *await _pages(found, admins, deep, f"page {deep:,} of {USERS:,} users"),
        ]


async def _made(one: Contender, fill: Callable[[Contender], None]) -> None:
    say(f"  making {USERS:,} users of {one.dialect.name}")
    started = time.monotonic()
    await asyncio.to_thread(fill, one)
    say(f"  made in {time.monotonic() - started:.0f} s")


def _fill_ours(ours: Contender) -> None:
    with psycopg.connect(ours.conninfo, autocommit=True) as connection:
        # The first admin would be counted twice.
        connection.execute("DELETE FROM signups_v1")
    fill(ours.conninfo, USERS)


def _fill(peer: Contender) -> None:
    promote, insert = next(
        statements for name, statements in _FILLED.items() if peer.dialect.name.startswith(name)
    )
    with psycopg.connect(peer.conninfo, autocommit=True) as connection:
        connection.execute(promote.encode())
        connection.execute(insert.encode(), (USERS,))
        connection.execute('VACUUM (ANALYZE) "user"')


async def _admin(dialect: Dialect) -> Session:
    (answer,) = await each(dialect.address, [dialect.admin_login()])
    assert answer.status in (200, 201), f"{dialect.name}: {answer}"
    return dialect.session(answer)


async def _pages(found: Contenders, admins: dict[str, Session], page: int, work: str) -> list[Row]:
    raws: dict[str, bytes] = {}
    for one in (found.ours, *found.peers):
        dialect, admin = one.dialect, admins[one.dialect.name]
        raw = dialect.page(admin, page)
        if isinstance(dialect, Ours):
            raw = await asyncio.to_thread(_by_cursor, dialect, admin, page)
        (answer,) = await each(dialect.address, [raw])
        assert answer.status == 200, f"{dialect.name}: {answer}"
        assert b"total" in answer.body, f"{dialect.name}: {answer}"
        raws[dialect.name] = raw

    async def ask(dialect: Dialect) -> Load:
        return await busy(dialect.address, raws[dialect.name], seconds=SECONDS, connections=CONNECTIONS)

    return await compared(f"{work}, {CONNECTIONS} connections", found, ask)


def _by_cursor(ours: Ours, admin: Session, page: int) -> bytes:
    """The page as our clients walk to it: by the link that the page before it gave."""
    path = "/users?cursor="
    if page > 1:
        path = deep_page(ours.address, admin.shown, "/users", page)
    headers = {"Authorization": admin.shown}
    return request(ours.address, "GET", quote(path, safe="/?=&%"), headers)
