"""The totals of signups are the sums of their rows, whoever writes them and in whatever order."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import psycopg

from application.listing import UserFilter
from domain import events
from domain.values import Role
from infrastructure.erasure.erasers import remove
from infrastructure.postgres.pool import SETTLED
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from projections.users import listing
from tests.projections.projecting import caught_up, one, projecting, rows
from tests.support.databases import ROOT_KEY
from tests.support.truth import check_signups, read_log
from tests.support.writer import AT, Writer

_TOTALS = "SELECT * FROM signups_v1_totals WHERE users <> 0 ORDER BY status, role, day"

_UNEQUAL = """
SELECT * FROM (
    SELECT day, status, role, count(*) AS users FROM signups_v1 GROUP BY day, status, role) AS counted
FULL JOIN (SELECT * FROM signups_v1_totals WHERE users <> 0) AS kept USING (day, status, role)
WHERE counted.users IS DISTINCT FROM kept.users"""


async def check(conninfo: str) -> None:
    log = await read_log(conninfo, ROOT_KEY)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        check_signups(connection, log)


async def test_the_totals_follow_every_change_and_a_rebuild_finds_the_same(writer: Writer) -> None:
    users = await writer.random_history(5, users=60, events_each=6)
    async with projecting(writer, Signups()):
        await caught_up(writer.conninfo, name="signups")
        await check(writer.conninfo)
        await writer.append(users[0], events.RoleChanged(at=AT, role=Role.ADMIN))
        await writer.append(users[1], events.ErasureRequested(at=AT))
        await writer.register(7)
        await caught_up(writer.conninfo, name="signups")
        await check(writer.conninfo)
    before = rows(writer.conninfo, _TOTALS)
    await rebuild(Signups(), writer.reader, writer.conninfo)
    assert (
        rows(writer.conninfo, "SELECT * FROM signups_v1_totals WHERE users <> 0 ORDER BY 1, 2, 3") == before
    )
    await check(writer.conninfo)
    async with projecting(writer, Signups()):
        await writer.register(3)
        await caught_up(writer.conninfo, name="signups")
        await check(writer.conninfo)


async def test_who_is_removed_by_an_eraser_is_not_counted_any_more(writer: Writer) -> None:
    users = await writer.register(5)
    async with projecting(writer, Signups()):
        await caught_up(writer.conninfo, name="signups")
    async with await psycopg.AsyncConnection.connect(writer.conninfo) as connection:
        removed = await remove(connection, users[0])
    assert removed["signups"] == 1
    assert one(writer.conninfo, "SELECT sum(users)::int FROM signups_v1_totals") == 4


async def test_writers_at_the_same_time_neither_wait_in_a_circle_nor_lose_a_count(writer: Writer) -> None:
    ids = [UUID(int=number) for number in range(1, 61)]
    table = "signups_v1_g1"

    async def write(seed: int) -> None:
        dice = random.Random(seed)
        async with await psycopg.AsyncConnection.connect(writer.conninfo) as connection:
            for _ in range(25):
                some = dice.sample(ids, 20)
                if dice.random() < 0.3:
                    await connection.execute(f"DELETE FROM {table} WHERE user_id = ANY(%s)".encode(), (some,))
                else:
                    day, status = dice.randrange(1, 9), dice.choice(("enabled", "disabled"))
                    await connection.execute(
                        f"INSERT INTO {table} SELECT id, 1, '2026-01-01'::date + %s, %s, 'user'"
                        f" FROM unnest(%s::uuid[]) AS id ON CONFLICT (user_id) DO UPDATE"
                        f" SET day = excluded.day, status = excluded.status".encode(),
                        (day, status, some),
                    )
                if dice.random() < 0.8:
                    await connection.commit()

    async with asyncio.timeout(60):
        await asyncio.gather(*(write(seed) for seed in range(6)))
    assert rows(writer.conninfo, _UNEQUAL) == []


async def test_a_total_by_status_and_role_reads_no_users(writer: Writer) -> None:
    query, values = listing.total(UserFilter(role=Role.USER))
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        connection.execute(SETTLED)
        plan = connection.execute(b"EXPLAIN " + query.as_bytes(connection), values).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "signups_v1_g1_totals" in text
    assert "Seq Scan" not in text
    assert "users_v1" not in text
