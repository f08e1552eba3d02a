"""Killed at any step, an erasure comes to the same end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.errors import HistoryUnreadable
from infrastructure.erasure.certificate import verified
from infrastructure.erasure.ledger import Ledger
from infrastructure.erasure.process import Erasing
from tests.erasure.world import running_world
from tests.nats.broker import Broker
from tests.support.truth import check_chain

STEPS = ("removed", "in the ledger", "noted", "removed again", "erased", "certified")


class Killed(BaseException):
    """The process ended here."""


def failing(step: str) -> Callable[[str], None]:
    def checkpoint(reached: str) -> None:
        if reached == step:
            raise Killed

    return checkpoint


async def assert_it_comes_to_its_end(database: str, broker: Broker, ledger: Path, user_id: Any) -> None:
    """A replica that starts now finishes it: one request, one end, one certificate, nothing left."""
    async with running_world(database, broker, ledger) as world:
        certificate, _ = verified(await world.certified(user_id))
        await world.relayed()
        assert certificate.messages_overwritten <= 2, "what a killed step has not counted is not made up"
        assert await world.subjects(user_id) == ["erased"]
        count = "SELECT count(*) FROM events WHERE stream_id = %s AND name = %s"
        for name in ("users.erasure_requested.v1", "users.erased.v1"):
            assert world.one(count, user_id, name) == 1
        assert world.one("SELECT count(*) FROM users_v1 WHERE id = %s", user_id) == 0
        entries, torn = Ledger(ledger).entries()
        assert (list(entries), torn) == ([user_id], 0)
        with psycopg.connect(database) as connection:
            check_chain(connection)


async def test_killed_after_every_step_in_turn_an_erasure_comes_to_its_end(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as world:
        user_id = await world.registered()
        await world.relayed()
    async with running_world(database, broker, ledger, read=False) as world:
        await world.erase(user_id)
    for step in ("removed", "in the ledger", "noted", "one message overwritten", "removed again", "erased"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.erasure.dying_eraser", database, broker.url, str(ledger), step
        )
        assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL, step
    await assert_it_comes_to_its_end(database, broker, ledger, user_id)


@pytest.mark.parametrize("step", STEPS)
async def test_an_erasure_that_stops_at_any_step_goes_on_from_there(
    database: str, broker: Broker, tmp_path: Path, step: str
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as world:
        user_id = await world.registered()
        await world.erase(user_id)
        erasing: Erasing = world.service.erasure.erasing
        erasing.checkpoint = failing(step)
        with pytest.raises(Killed):
            await world.certified(user_id)
        erasing.checkpoint = lambda reached: None
        await world.certified(user_id)
    await assert_it_comes_to_its_end(database, broker, ledger, user_id)


async def test_while_the_broker_is_away_the_user_is_forgotten_and_the_certificate_waits(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as world:
        user_id = await world.registered()
        await world.relayed()
        broker.kill()
        await world.erase(user_id)
        await world.service.erasure.erasing.step()
        assert world.one("SELECT wrapped FROM user_keys WHERE user_id = %s", user_id) is None
        assert world.one("SELECT certificate FROM erasures WHERE user_id = %s", user_id) is None
        broker.start()
        await world.certified(user_id)
        await world.relayed()
        assert await world.subjects(user_id) == ["erased"]


async def test_a_ledger_that_cannot_be_written_holds_the_certificate_back(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    blocked = tmp_path / "ledger.ndjson"
    blocked.mkdir()
    async with running_world(database, broker, blocked) as world:
        user_id = await world.registered()
        await world.erase(user_id)
        with pytest.raises(Exception, match="cannot be written"):
            await world.service.erasure.erasing.step()
        blocked.rmdir()
        await world.certified(user_id)
        assert str(user_id) in blocked.read_text()


async def test_a_line_that_a_crash_has_torn_does_not_swallow_the_next_one(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    ledger.write_text('{"user_id":"6f1f')
    async with running_world(database, broker, ledger) as world:
        user_id = await world.registered()
        await world.erase(user_id)
        await world.certified(user_id)
        entries, torn = world.service.erasure.ledger.entries()
        assert (set(entries), torn) == ({user_id}, 1)


async def test_an_erasure_that_fails_for_a_reason_of_its_own_holds_up_no_other(
    database: str, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_world(database, broker, tmp_path / "ledger.ndjson") as world:
        first, second = await world.registered(), await world.registered()
        erasing: Erasing = world.service.erasure.erasing
        real = erasing._log.timeline

        async def unreadable(user_id: Any) -> Any:
            if user_id == first:
                raise HistoryUnreadable
            return await real(user_id)

        monkeypatch.setattr(erasing._log, "timeline", unreadable)
        await world.erase(first)
        await world.erase(second)
        await world.certified(second)
        assert world.one("SELECT certificate FROM erasures WHERE user_id = %s", first) is None
        monkeypatch.undo()
        await world.certified(first)
