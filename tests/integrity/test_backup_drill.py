"""The drill of docs/OPERATIONS.md: a backup that is taken under load goes on elsewhere."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import psycopg

from application.ports import Recorded
from tests.e2e.everything import wait_for_the_readers
from tests.integrity.test_restored_backup import (
    call,
    certified,
    is_refused,
    logged_in,
    one,
    registered,
    relayed,
    told,
)
from tests.support.backups import dump, restored
from tests.support.load import Load
from tests.support.program import Program, program
from tests.support.service import ADMIN
from tests.support.truth import check_history, check_users, read_log
from tests.support.waiting import eventually

KEPT = ("root.key", "log-checkpoints.jws", "erasure-ledger.ndjson")
"""What is kept beside the dumps of the database; the broker keeps its own."""


async def dumped_under_load(usersd: Program, load: Load) -> Path:
    """A dump that is taken while clients write before, during and after it."""
    stop = asyncio.Event()
    working = asyncio.create_task(load.run(usersd.url, stop))
    await eventually(lambda: _many(load, 30), within=60)
    backup = usersd.home / "backup.dump"
    backup.write_bytes(await asyncio.to_thread(dump, usersd, "-Fc"))
    seen = len(load.acknowledged)
    await eventually(lambda: _many(load, seen + 10), within=60)
    stop.set()
    await working
    return backup


async def _many(load: Load, wanted: int) -> bool:
    return len(load.acknowledged) >= wanted


def moved(usersd: Program, elsewhere: Program, backup: Path) -> None:
    """Another machine gets what was kept, the broker's streams as they are now, and the dump."""
    elsewhere.data.mkdir()
    # With their owners: the broker runs as a user of its own where the service runs as root.
    kept = [str(usersd.data / name) for name in (*KEPT, "nats")]
    subprocess.run(["cp", "-a", *kept, str(elsewhere.data)], check=True)
    restored(elsewhere, backup)


async def test_a_backup_taken_under_load_goes_on_elsewhere() -> None:
    load = Load(seed=7)
    with program() as usersd, program() as elsewhere:
        usersd.start()
        erased = registered(usersd, "quetzal")
        backup = await dumped_under_load(usersd, load)
        assert usersd.cli("users", "erase", erased, "--yes").code == 0
        certified(usersd, erased)
        relayed(usersd)
        usersd.terminate()
        assert usersd.wait() == 0
        moved(usersd, elsewhere, backup)

        is_refused(elsewhere)
        assert elsewhere.cli("restore", "accept", "--yes", "--reason", "drill").code == 0
        elsewhere.start()
        certified(elsewhere, erased)
        assert logged_in(elsewhere, "quetzal@example.com").status_code == 401
        assert elsewhere.cli("projections", "rebuild", "users").code == 0
        await asyncio.to_thread(wait_for_the_readers, elsewhere)
        await holds(elsewhere, load, erased)


async def holds(elsewhere: Program, load: Load, erased: str) -> None:
    """Every write acknowledged before the dump is there, and all that is read agrees with the log."""
    log = await read_log(elsewhere.postgres, elsewhere.root_key)
    asked_for = next(
        event.position for event in log if str(event.user_id) == erased and "erasure" in event.name
    )
    kept = [write for write in load.acknowledged if write.position < asked_for]
    assert 30 <= len(kept) < len(load.acknowledged)
    load.acknowledged = kept
    load.check(log)
    with psycopg.connect(elsewhere.postgres, autocommit=True) as connection:
        check_users(connection, log)
        check_history(connection, log)
    admin = logged_in(elsewhere, ADMIN["identity"], ADMIN["secret"]).json()["access_token"]
    assert call(elsewhere, "GET", f"/users/{erased}", admin).status_code == 404
    stream = await asyncio.to_thread(told, elsewhere)
    assert stream[-1][0] == one(elsewhere, "SELECT max(position) FROM events"), "the relay goes on"
    known = {event.position: str(event.event_id) for event in log if isinstance(event, Recorded)}
    assert all(known[position] == event_id for position, event_id in stream), "of no event that is lost"
    assert elsewhere.cli("events", "verify").code == 0
