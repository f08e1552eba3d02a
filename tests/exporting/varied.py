"""A database in which almost everything has happened that can, and what two databases have in common."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.persistence import StoredEvent

from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.event_store import epochs
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.prepared import Prepared
from tests.erasure.world import World, running_world
from tests.exporting.operating import exports, quietly
from tests.integrity.sealed import checkpointer
from tests.nats.broker import Broker
from tests.projections.projecting import caught_up, projecting
from tests.support.service import SECRET
from tests.support.writer import Writer, envelope

NEW_SECRET = "another one 123"
OF_A_NEWER_VERSION = "users.telephoned.v9"

TABLES = {
    "events": "position",
    "credentials": "user_id",
    "erasures": "position",
    "clients": "id",
    "log_checkpoints": "number",
    "discarded_events": "position",
    "users_v1": "id",
    "history_v1": "user_id, version",
    "signups_v1": "user_id",
    "signups_v1_totals": "day, status, role",
}
"""What must be the same on both sides, row by row, and in which order to look at it."""

NOT_KEPT = {"credentials": ("carried", "carried_from")}


class Varied(msgspec.Struct, frozen=True, kw_only=True):
    """The database, and some of its users."""

    conninfo: str
    home: Path
    plain: str
    changed: str
    deleted: str
    disabled: str
    erased: UUID
    being_erased: UUID
    client: UUID
    client_secret: str


def exported(source: Varied, folder: Path) -> tuple[Path, Path]:
    """The log in a file, and the file of its key."""
    file = folder / "log.ndjson"
    done = exports(source.conninfo, source.home).export_log(file, None, quietly)
    return file, done.key_file


def rows(conninfo: str) -> dict[str, list[dict[str, Any]]]:
    """All that must be the same on both sides."""
    found: dict[str, list[dict[str, Any]]] = {}
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        for table, order in TABLES.items():
            found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY {order}".encode()).fetchall()
            for row in found[table]:
                for column in NOT_KEPT.get(table, ()):
                    del row[column]
    return found


def make(conninfo: str, home: Path) -> Varied:
    """Fill an empty database."""
    return asyncio.run(_make(conninfo, home))


async def _make(conninfo: str, home: Path) -> Varied:
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-nats-"))
    broker = Broker(folder)
    broker.start()
    try:
        async with running_world(conninfo, broker, home / "erasure-ledger.ndjson") as world:
            found = await _lives(world)
    finally:
        broker.kill()
        shutil.rmtree(folder)
    secret = PostgresClientAdministration(conninfo, lambda: datetime.now(UTC)).add("meter", ["introspect"])
    PostgresClientAdministration(conninfo, lambda: datetime.now(UTC)).rotate(secret.id, timedelta(hours=1))
    async with Writer(conninfo) as writer:
        takes = checkpointer(writer, home / "log-checkpoints.jws")
        await takes.step(now=True)
        await writer.random_history(seed=7, users=12, events_each=4)
        await _newer(writer)
        _discard(conninfo)
        await takes.step(now=True)
        async with projecting(writer):
            await caught_up(conninfo, within=30)
    return Varied(conninfo=conninfo, home=home, client=secret.id, client_secret=secret.secret, **found)


async def _lives(world: World) -> dict[str, Any]:
    client = world.client
    await _rotated(world)
    plain, changed, deleted, disabled = [await client.register() for _ in range(4)]
    admin = await client.as_admin()
    await client.http.patch(
        "/users/secret",
        json={"old_secret": SECRET, "new_secret": NEW_SECRET},
        headers=await client.as_user(changed["email"]),
    )
    await client.http.delete(f"/users/{deleted['id']}", headers=admin)
    await client.http.post(f"/users/{disabled['id']}/disable", headers=admin)
    erased, being_erased = await world.registered(), await world.registered()
    await world.erase(erased)
    await world.certified(erased)
    # The epoch that had wrapped the key of the erased one goes; another is the present one.
    await _rotated(world)
    await world.erase(being_erased)
    await world.relayed()
    return {
        "plain": plain["email"],
        "changed": changed["email"],
        "deleted": deleted["email"],
        "disabled": disabled["email"],
        "erased": erased,
        "being_erased": being_erased,
    }


async def _rotated(world: World) -> None:
    keyring = world.service.erasure.epochs.keyring

    def work() -> None:
        with psycopg.connect(world.conninfo, autocommit=True) as connection:
            epochs.begin(connection, keyring, always=True)
            epochs.change(connection, keyring)

    await asyncio.to_thread(work)


async def _newer(writer: Writer) -> None:
    """A user with an event that this version does not know."""
    (user_id,) = await writer.register()
    state = envelope(data={"number": 7})
    async with Appender(writer.conninfo) as appender:
        event = StoredEvent(
            originator_id=user_id, originator_version=2, topic=OF_A_NEWER_VERSION, state=state
        )
        assert (await appender.append(Prepared(stream_id=user_id, events=[event]))).outcome == "stored"


def _discard(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO discarded_events (projection, version, position, user_id, event_version, event_name,"
            " reason, by) SELECT 'users', 1, position, stream_id, version, name, 'it is of no use', 'me'"
            " FROM events WHERE name = %s",
            (OF_A_NEWER_VERSION,),
        )
