"""A log that is behind what was made from it is noticed, whatever it is that knows more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from application.integrity import LogBehind, LogTorn, NotNow
from domain import events
from infrastructure.integrity.acceptance import Restore
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.guard import require_whole_log
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from tests.integrity.sealed import checkpointer
from tests.support.databases import Databases, standing
from tests.support.writer import AT, Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.jws"


@pytest.fixture
async def writer(database: str) -> AsyncIterator[Writer]:
    async with Writer(database) as ready:
        yield ready


async def start(writer: Writer, path: Path) -> None:
    """What a start does before anybody is answered."""
    kid = key_of(writer.keys.keyring).kid
    await asyncio.to_thread(require_whole_log, writer.conninfo, CheckpointFile(path), kid, "")


async def accept(writer: Writer, path: Path) -> Any:
    restore = Restore(standing(writer.conninfo), writer.keys, CheckpointFile(path))
    return await asyncio.to_thread(restore.accept, "a drill", lambda line: None)


def cut(writer: Writer, after: int, *, checkpoints: int = 10**9) -> None:
    """The log as an earlier state of the database had it, and the checkpoints too."""
    with psycopg.connect(make_conninfo(writer.conninfo, user="postgres")) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM events WHERE position > %s", (after,))
        connection.execute("DELETE FROM log_checkpoints WHERE number > %s", (checkpoints,))


def execute(writer: Writer, statement: str) -> Any:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchone() if cursor.description else None


def whole(writer: Writer, path: Path) -> bool:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        witnesses = Witnesses(connection, CheckpointFile(path), key_of(writer.keys.keyring).kid)
        found = Walk(connection, witnesses).verify()
    assert found.whole, found.findings
    return True


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE projections SET position = 9 WHERE name = 'users'",
            "the read model users has come to position 9",
        ),
        ("INSERT INTO relays (name, position) VALUES ('users', 9)", "the relay users has come to position 9"),
        ("UPDATE reactors SET position = 9", "the reactor mails has come to position 9"),
        (
            "INSERT INTO reactors (name, position) VALUES ('policies', 9)",
            "the reactor policies has come to position 9",
        ),
    ],
    ids=["a read model", "a relay", "the mailer", "what tells the platform"],
)
async def test_a_reader_beyond_the_end_of_the_log_is_noticed_and_brought_back(
    writer: Writer, path: Path, statement: str, words: str
) -> None:
    await writer.register(3)
    await start(writer, path)
    execute(writer, statement)
    with pytest.raises(LogBehind) as refused:
        await start(writer, path)
    assert words in str(refused.value)
    assert "the log ends at position 3" in str(refused.value)
    done = await accept(writer, path)
    assert (done.head, done.lost_until, done.checkpoint) == (3, 9, 1)
    await start(writer, path)
    ahead = execute(
        writer,
        "SELECT (SELECT max(position) FROM projections), (SELECT max(position) FROM relays), max(position)"
        " FROM reactors",
    )
    assert all(position is None or position <= 3 for position in ahead)
    assert whole(writer, path)


async def test_a_read_model_that_was_ahead_is_rebuilt(writer: Writer, path: Path) -> None:
    await writer.register(3)
    execute(writer, "UPDATE projections SET position = 9")
    done = await accept(writer, path)
    assert "users" in done.rebuilt
    assert execute(writer, "SELECT count(*) FROM users_v1") == (3,)
    assert execute(writer, "SELECT count(*) FROM projections WHERE position > 3") == (0,)


async def test_checkpoints_beyond_the_end_of_the_log_are_noticed(writer: Writer, path: Path) -> None:
    takes = checkpointer(writer, path)
    await writer.register(2)
    await takes.step(now=True)
    await writer.register(2)
    await takes.step(now=True)
    cut(writer, 2, checkpoints=1)
    with pytest.raises(
        LogBehind, match=r"checkpoint 2 of .* was signed at position 4, over events that are not"
    ):
        await start(writer, path)
    done = await accept(writer, path)
    assert (done.head, done.agrees_until, done.lost_until, done.checkpoint) == (2, 2, 4, 3)
    await start(writer, path)
    await writer.register(2)
    assert await takes.step(now=True), "and checkpoints go on behind the one that records it"
    assert whole(writer, path)
    await start(writer, path)


async def test_a_log_that_was_restored_and_has_grown_again_is_noticed(writer: Writer, path: Path) -> None:
    takes = checkpointer(writer, path)
    for _ in range(3):
        await writer.register(2)
        await takes.step(now=True)
    cut(writer, 3, checkpoints=1)
    await writer.register(9)
    with pytest.raises(LogBehind, match=r"checkpoint 3 of .* was signed at position 6, over other events"):
        await start(writer, path)
    done = await accept(writer, path)
    assert (done.head, done.agrees_until) == (12, 2)
    await start(writer, path)
    assert whole(writer, path)


async def test_an_empty_database_beside_checkpoints_is_noticed(
    writer: Writer, path: Path, databases: Databases
) -> None:
    await writer.register(3)
    await checkpointer(writer, path).step(now=True)
    with databases.fresh() as empty:
        async with Writer(empty) as other:
            with pytest.raises(LogBehind, match="the log ends at position 0"):
                await start(other, path)
            assert (await accept(other, path)).checkpoint == 2
            await start(other, path)
            await other.register()
            assert await checkpointer(other, path).step(now=True)
            assert whole(other, path)


async def test_a_log_that_was_cut_alone_can_neither_start_nor_be_accepted(writer: Writer, path: Path) -> None:
    (user_id,) = await writer.register()
    await writer.append(user_id, events.EmailChanged(at=AT, email="other@example.com"))
    cut(writer, 1)
    with pytest.raises(LogTorn, match="Restore the whole database from one backup"):
        await start(writer, path)
    with pytest.raises(LogTorn):
        await accept(writer, path)


async def test_what_is_whole_is_not_accepted_and_nothing_is_while_a_service_runs(
    writer: Writer, path: Path
) -> None:
    await writer.register()
    with pytest.raises(NotNow, match="there is nothing to accept"):
        await accept(writer, path)
    execute(writer, "UPDATE reactors SET position = 9")
    with psycopg.connect(writer.conninfo, autocommit=True) as running:
        running.execute("SELECT pg_advisory_lock_shared(7310580243119873)")
        with pytest.raises(NotNow, match="stop every usersd"):
            await accept(writer, path)


async def test_killed_before_the_database_had_the_record_it_is_taken_from_the_file(
    writer: Writer, path: Path
) -> None:
    takes = checkpointer(writer, path)
    await writer.register()
    await takes.step(now=True)
    await writer.register()
    await takes.step(now=True)
    cut(writer, 2, checkpoints=1)
    await start(writer, path)
    assert execute(writer, "SELECT count(*) FROM log_checkpoints") == (2,)
    assert whole(writer, path)


async def test_sessions_of_the_backup_end_with_it(writer: Writer, path: Path) -> None:
    await writer.register()
    execute(
        writer,
        "INSERT INTO sessions (id, user_id, epoch, token_hash, nonce, created_at, rotated_at, expires_at)"
        " SELECT gen_random_uuid(), user_id, 1, 'x', 'y', now(), now(), now() + interval '1 day'"
        " FROM credentials",
    )
    execute(writer, "UPDATE reactors SET position = 9")
    assert (await accept(writer, path)).sessions == 1
    assert execute(writer, "SELECT count(*) FROM sessions") == (0,)
