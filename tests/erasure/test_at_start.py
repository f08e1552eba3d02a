"""The ledger is heeded when a service starts: whoever it names is gone before anybody is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from infrastructure.erasure.ledger import Entry, Ledger, LedgerUnusable
from infrastructure.erasure.reapply import reapply_at_start
from tests.erasure.world import World, running_world
from tests.nats.broker import Broker

AT = datetime(2026, 1, 2, tzinfo=UTC)


async def test_rows_are_gone_at_once_without_any_reader_of_the_log(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as before:
        user_id = await before.registered()
        await before.relayed()
    Ledger(ledger).note(Entry(user_id, AT))
    async with running_world(database, broker, ledger, read=False) as world:
        await reapply_at_start(world.service.bus, world.service.erasure)
        assert world.one("SELECT status FROM credentials WHERE user_id = %s", user_id) == "erased"
        assert world.one("SELECT wrapped FROM user_keys WHERE user_id = %s", user_id) is None
        assert world.one("SELECT count(*) FROM users_v1 WHERE id = %s", user_id) == 0
        assert world.one("SELECT count(*) FROM sessions WHERE user_id = %s", user_id) == 0
        head = world.one("SELECT max(position) FROM events")
        await reapply_at_start(world.service.bus, world.service.erasure)
        assert world.one("SELECT max(position) FROM events") == head, "once is enough"


async def test_the_last_admin_stays_and_the_operator_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    admin: UUID = world.one("SELECT user_id FROM credentials WHERE role = 'admin'")
    Ledger(world.ledger).note(Entry(admin, AT))
    await reapply_at_start(world.service.bus, world.service.erasure)
    assert world.one("SELECT status FROM credentials WHERE user_id = %s", admin) == "enabled"
    assert "make another admin, then run `usersd erasures replay`" in caplog.text


async def test_a_ledger_that_cannot_be_read_is_no_empty_one(world: World) -> None:
    world.ledger.mkdir()
    with pytest.raises(LedgerUnusable, match="cannot be read"):
        await reapply_at_start(world.service.bus, world.service.erasure)
