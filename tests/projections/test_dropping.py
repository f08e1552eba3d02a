"""A generation can be dropped while its owner writes it: neither waits for the other without end."""

from __future__ import annotations

import asyncio

import psycopg

from projections import tables
from projections.rebuild import rebuild
from projections.users.projector import Users
from tests.projections.projecting import one
from tests.support.waiting import eventually
from tests.support.writer import Writer

_WAITS = "SELECT count(*) FROM pg_locks WHERE relation = 'users_v1_g1'::regclass AND NOT granted"


async def test_a_drop_steps_back_for_an_owner_who_has_the_table_and_wants_the_row(writer: Writer) -> None:
    await writer.register(3)
    for _ in range(2):
        await rebuild(Users(), writer.reader, writer.conninfo)
    (old,) = await asyncio.to_thread(_old, writer.conninfo)

    def drop() -> None:
        with psycopg.connect(writer.conninfo, autocommit=True) as connection:
            tables.drop(connection, Users(), old)

    async def waits() -> bool:
        return bool(one(writer.conninfo, _WAITS.replace("g1", f"g{old}")) == 1)

    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as owner:
        async with owner.transaction():
            await owner.execute(f"LOCK TABLE users_v1_g{old} IN ROW EXCLUSIVE MODE".encode())
            dropping = asyncio.create_task(asyncio.to_thread(drop))
            await eventually(waits)
            await owner.execute("SELECT FROM projections WHERE generation = %s FOR UPDATE", (old,))
        await dropping
    assert one(writer.conninfo, f"SELECT to_regclass('users_v1_g{old}')") is None
    assert one(writer.conninfo, "SELECT count(*) FROM users_v1") == 3


def _old(conninfo: str) -> list[int]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return tables.old(connection, Users())
