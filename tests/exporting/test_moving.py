"""A service moves to another database by the command line, and to the broker that it had before."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.erasure.world import running_world
from tests.exporting.operating import exports, quietly
from tests.exporting.varied import Varied
from tests.nats.broker import Broker
from tests.projections.commanding import usersd
from tests.support.databases import Databases

NEW = {"username": "somebody_new", "secret": "changeMe123"}


@pytest.fixture
def broker() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-nats-"))
    server = Broker(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder)


def test_the_commands_move_a_log_and_it_is_what_was_written(
    source: Varied, database: str, tmp_path: Path
) -> None:
    file, key = str(tmp_path / "log"), str(tmp_path / "secret" / "key")
    (tmp_path / "secret").mkdir()
    out = usersd(source.conninfo, "events", "export", "--to", file, "--key-file", key)
    assert (out.code, out.out) == (0, ""), out
    assert f"a new key in {key}" in out.err
    assert Path(key).read_text().strip() not in out.err
    into = usersd(database, "events", "import", "--from", file, "--key-file", key)
    assert (into.code, into.out) == (0, ""), into
    assert "with them: 2 erasures, 1 clients, 2 checkpoints" in into.err
    assert "1 events are of a newer version" in into.err
    verified = usersd(database, "events", "verify")
    assert verified.code == 0, verified
    assert "the log is what was written" in verified.err


async def test_the_broker_of_before_is_told_what_is_new_and_nothing_twice(
    databases: Databases, database: str, broker: Broker, tmp_path: Path
) -> None:
    file, key = tmp_path / "log", tmp_path / "log.key"
    with databases.fresh() as before:
        async with running_world(before, broker, tmp_path / "ledger") as world:
            for _ in range(3):
                await world.registered()
            await world.relayed()
            told = await broker.messages()
        await asyncio.to_thread(exports(before, tmp_path).export_log, file, None, quietly)
    await asyncio.to_thread(exports(database, tmp_path).import_log, file, key, quietly)
    async with running_world(database, broker, tmp_path / "ledger") as world:
        await world.client.register(email="new@example.com", credentials=NEW)
        await world.relayed()
        after = await broker.messages()
    assert [message.sequence for message in after[: len(told)]] == [message.sequence for message in told]
    assert [message.subject.rpartition(".")[2] for message in after[len(told) :]] == ["registered"]
