"""Takes accounts and the log out, and the log in, beside the least that anybody would have to do for it."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path

import msgspec
import psycopg

from application.operations import Progress
from bench.crowd_log import USERS, crowd_log
from bench.ground import Ground
from bench.measuring import Row, in_turns, say
from infrastructure.event_store.keyring import unseal
from infrastructure.event_store.mapper import Envelope
from infrastructure.operations.exporting import PostgresExports
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.support.databases import standing

MOST_FOR_THE_LOG = 200_000
"""Of more users the log, which no row is about, would take longer than everything else."""

# The event that each account began with, and its key: what has to leave the database of every account.
_BARE = """
COPY (SELECT e.stream_id, e.state, k.epoch, k.wrapped, c.secret_hash
      FROM events e JOIN user_keys k ON k.user_id = e.stream_id JOIN credentials c USING (user_id)
      WHERE e.version = 1) TO STDOUT (FORMAT BINARY)"""
_TYPES = ["uuid", "bytea", "int4", "bytea", "text"]


async def measure(ground: Ground) -> list[Row]:
    conninfo = await crowd_log(ground)
    with tempfile.TemporaryDirectory(prefix="usersd-bench-") as name:
        row = await _accounts(conninfo, Path(name))
        if USERS <= MOST_FOR_THE_LOG:
            await _log(ground, conninfo, Path(name))
    return [row]


async def _accounts(conninfo: str, folder: Path) -> Row:
    keyring = open_keys(standing(conninfo)).keyring
    decode = msgspec.json.Decoder(Envelope).decode

    def bare() -> float:
        started, count = time.perf_counter(), 0
        with (
            psycopg.connect(conninfo) as connection,
            connection.cursor() as cursor,
            cursor.copy(_BARE) as copy,
        ):
            copy.set_types(_TYPES)
            for user_id, state, epoch, wrapped, _ in copy.rows():
                key = keyring.user_key(user_id, epoch, wrapped)
                place = user_id.bytes + (1).to_bytes(8) + (1).to_bytes(4) + b"users.registered.v1"
                unseal(key.cipher, decode(state).sealed, place)
                count += 1
        return count / (time.perf_counter() - started)

    def ours() -> float:
        started = time.perf_counter()
        done = _exports(conninfo, folder).accounts(folder / "accounts", _quietly, with_hashes=True)
        assert not done.left
        return done.accounts / (time.perf_counter() - started)

    row = await in_turns(
        f"accounts exported with hashes, of {USERS:,}", "a bare COPY of what each began with, unsealed",
        lambda: asyncio.to_thread(ours), lambda: asyncio.to_thread(bare), aim=0.5,
    )  # fmt: skip
    _tell_memory("after the accounts")
    return row


async def _log(ground: Ground, conninfo: str, folder: Path) -> None:
    started = time.perf_counter()
    out = await asyncio.to_thread(_exports(conninfo, folder).export_log, folder / "log", None, _quietly)
    taken = time.perf_counter() - started
    size = (folder / "log").stat().st_size
    say(f"  the log out: {out.events / taken:,.0f} events/s, {size / out.events:,.0f} bytes each")
    with ground.databases.fresh() as other:
        into = _exports(other, folder / "into")
        stages: dict[str, float] = {}
        since = time.perf_counter()

        def moved(step: Progress) -> None:
            stages[step.stage] = time.perf_counter() - since

        done = await asyncio.to_thread(into.import_log, folder / "log", out.key_file, moved)
        taken = time.perf_counter() - since
        say(f"  the log in, with read models: {done.events / taken:,.0f} events/s; stages ended at {stages}")
    _tell_memory("after the log")


def _exports(conninfo: str, home: Path) -> PostgresExports:
    return PostgresExports(standing(conninfo), load({"MG_USERS_DATA_DIR": str(home)}).settings)


def _quietly(step: Progress) -> None:
    pass


def _tell_memory(when: str) -> None:
    say(f"  {when} this process has held {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
