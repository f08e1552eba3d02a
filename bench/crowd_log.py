"""A log of many users, made once in a run: it takes longer than most of what is measured on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from application.seeding import SeedProgress, SeedWanted
from bench.ground import Ground, event_log
from bench.measuring import say
from infrastructure.operations.seed import sow
from infrastructure.rebuilding import SpawnedWorkers
from infrastructure.standing import open_keys, prepare
from projections import tables
from projections.catalogue import READ_MODELS
from projections.rebuild import rebuild
from tests.support.databases import standing

USERS = int(os.environ.get("BENCH_USERS", "200000"))
EVENTS_EACH = 3

_open = ExitStack()
_made: dict[int, str] = {}


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is made until the run ends."""
    with _open:
        yield


async def crowd_log(ground: Ground, users: int = USERS) -> str:
    """The database of a log of so many users with three events each, appended as commands would."""
    if users in _made:
        return _made[users]
    conninfo = _open.enter_context(ground.databases.fresh())
    prepare(standing(conninfo))
    said = time.monotonic()

    def progress(step: SeedProgress) -> None:
        nonlocal said
        if time.monotonic() - said > 30:
            said = time.monotonic()
            say(f"  {step.users:,} of {step.wanted:,} users")

    async with event_log(conninfo) as log:
        wanted = SeedWanted(users=users, seed=1, events_per_user=EVENTS_EACH)
        sown = await sow(log.log, conninfo, wanted, progress)
    say(f"  {sown.events:,} events of {users:,} users, made in {sown.seconds:.0f} s")
    await _read_models(conninfo)
    _made[users] = conninfo
    return conninfo


async def _read_models(conninfo: str) -> None:
    """Every read model as it would be had it followed the log from the beginning."""
    reader = open_keys(standing(conninfo)).reader
    for model in READ_MODELS:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            tables.drop_version(connection, model.name, model.version)
        await rebuild(model, reader, conninfo, workers=SpawnedWorkers(standing(conninfo)))
