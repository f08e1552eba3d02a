"""What is measured on: real servers with every flush on, databases, and users that look like users."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from application.messages import Context
from application.ports import Change, History
from domain.access import SYSTEM
from domain.events import Registered
from domain.user import User, evolve
from infrastructure import embedded
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.operations.invented import FIRST, LAST, SECRET_HASH
from infrastructure.standing import Keys, Standing, open_keys
from tests.support.databases import Databases, standing


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """The servers of one run."""

    databases: Databases
    nats_url: str


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """An event log on a database of its own."""

    standing: Standing
    keys: Keys
    log: PostgresEventLog
    appender: Appender


@contextmanager
def ground() -> Iterator[Ground]:
    """PostgreSQL 18 and NATS as `usersd run` starts them, on a disk and not in memory."""
    with tempfile.TemporaryDirectory(prefix="usersd-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        with embedded.start(folder / "data") as servers:
            assert servers.postgres is not None
            assert servers.nats is not None
            yield Ground(databases=Databases(servers.postgres), nats_url=servers.nats)


@asynccontextmanager
async def event_log(conninfo: str, nats_url: str = "") -> AsyncIterator[Log]:
    """The log of a database."""
    footing = standing(conninfo, nats_url)
    keys = await asyncio.to_thread(open_keys, footing)
    streams = stream_reads(conninfo)
    async with Appender(conninfo) as appender:
        log = PostgresEventLog(streams, appender, keys.mapper, keys.keyring, conninfo)
        yield Log(standing=footing, keys=keys, log=log, appender=appender)
    await streams.close()


def registration(number: int) -> Change:
    """The change that registers the user of a number, with a secret's hash but without the hashing."""
    at = datetime.now(UTC)
    event = Registered(
        at=at,
        email=f"user{number}@site{number % 97}.example.com",
        username=f"user{number}",
        first_name=FIRST[number % len(FIRST)][0],
        last_name=LAST[number // 10 % len(LAST)][0],
        tags=["sensor", f"site-{number % 97}"],
        metadata={"site": number % 97, "plan": "basic", "locale": "en"},
    )
    user = User(id=uuid4())
    return Change(
        before=History(user=user),
        after=evolve(user, event),
        events=[event],
        context=context(at),
        secret_hash=SECRET_HASH,
    )


def context(at: datetime) -> Context:
    command_id = uuid4()
    return Context(actor=SYSTEM, at=at, command_id=command_id, correlation_id=command_id)


async def append_all(log: PostgresEventLog, changes: list[Change], callers: int) -> float:
    """Append by so many concurrent callers; changes per second."""
    todo = iter(changes)

    async def caller() -> None:
        for change in todo:
            await log.append(change)

    started = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(callers)])
    return len(changes) / (time.perf_counter() - started)


async def seed(log: PostgresEventLog, users: int) -> list[UUID]:
    """Register so many users; their ids."""
    ids: list[UUID] = []
    for start in range(0, users, 5000):
        changes = [registration(number) for number in range(start, min(start + 5000, users))]
        await append_all(log, changes, 256)
        ids += [change.after.id for change in changes]
    return ids
