"""`PATCH` of a profile field over HTTP, against the UPDATE and COMMIT that no service could do without."""

from __future__ import annotations

import asyncio
import itertools
import time

import psycopg

from bench.ground import Ground
from bench.load import chained
from bench.measuring import Row, in_turns, say
from bench.peers.dialects import Ours
from bench.peers.sessions import people_of
from bench.whole import whole

CONNECTIONS = 32
LIMIT_CONNECTIONS = 16
PEOPLE = 512
"""Who change their profiles in turn: nobody changes as often as one connection could."""

SECONDS = 4.0
ROUNDS = 5
AT_LEAST = 1000
"""Changes a second that are meant to be reached on two cores."""

_TABLE = """
CREATE TABLE bare AS SELECT id, document, last_name FROM users_v1;
ALTER TABLE bare ADD PRIMARY KEY (id)"""
_BARE = "UPDATE bare SET document = %s, last_name = %s WHERE id = %s"


async def measure(ground: Ground) -> list[Row]:
    """One row, of the whole of `usersd run`: when a change is answered, it is in the log and in the list."""
    with whole(MG_USERS_BCRYPT_COST="4") as program:
        await asyncio.to_thread(program.start)
        dialect = Ours(program.url)
        people = await people_of(dialect, PEOPLE)
        turn, names = itertools.cycle(people), itertools.count()

        def change(_: bytes = b"") -> bytes:
            return dialect.update(next(turn), f"Ada {next(names)}")

        async def ours() -> float:
            load = await chained(
                dialect.address,
                [change() for _ in range(CONNECTIONS)],
                change,
                expected=200,
                seconds=SECONDS,
            )
            assert load.failed == 0, f"{load.failed} changes failed: {load.refusal}"
            if load.per_second < AT_LEAST:
                say(f"  below the {AT_LEAST:,}/s that are meant to be reached")
            return load.per_second

        async def limit() -> float:
            return await _bare(program.postgres)

        with psycopg.connect(program.postgres, autocommit=True) as connection:
            connection.execute(_TABLE)
        work = f"PATCH of a profile field, {CONNECTIONS} connections"
        against = f"bare UPDATE and COMMIT of such a row, {LIMIT_CONNECTIONS} connections"
        return [await in_turns(work, against, ours, limit, aim=0.15, rounds=ROUNDS)]


async def _bare(conninfo: str) -> float:
    connections = [
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) for _ in range(LIMIT_CONNECTIONS)
    ]
    rows = await (await connections[0].execute("SELECT id, document FROM bare")).fetchall()
    until = time.perf_counter() + SECONDS / 2

    async def caller(number: int, connection: psycopg.AsyncConnection) -> int:
        done = 0
        for user_id, document in itertools.cycle(rows[number::LIMIT_CONNECTIONS]):
            if time.perf_counter() >= until:
                break
            await connection.execute(_BARE, (document, f"Ada {done}", user_id), prepare=True)
            done += 1
        return done

    started = time.perf_counter()
    done = sum(await asyncio.gather(*(caller(*one) for one in enumerate(connections))))
    elapsed = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return done / elapsed
