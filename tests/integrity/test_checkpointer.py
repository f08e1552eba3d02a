"""Checkpoints are taken in time, one after the other, and each of them leaves the database."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from infrastructure.embedded import EmbeddedServers
from infrastructure.integrity.announcing import SUBJECT, NatsAnnouncer
from infrastructure.integrity.checkpoint import NOTHING, following, key_of, link_to, signed, verified
from infrastructure.integrity.checkpointer import Checkpointer, LogDisagrees
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.witnesses import Witnesses
from infrastructure.nats.connection import close, connect
from infrastructure.tokens.key_store import KeyStore
from infrastructure.tokens.signing import SigningKey
from tests.integrity.sealed import checkpointer
from tests.support.waiting import eventually
from tests.support.writer import Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outside" / "checkpoints.jws"


def texts(path: Path) -> list[str]:
    return path.read_text().splitlines()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o077 == 0


async def test_a_checkpoint_says_what_anybody_with_the_log_can_compute(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        await writer.register(3)
        made = await checkpointer(writer, path).step(now=True)
    assert made
    link = bytes(32)
    with psycopg.connect(database) as connection:
        for (digest,) in connection.execute("SELECT hash FROM events ORDER BY position", binary=True):
            link = hashlib.sha256(link + digest).digest()
    told = made.checkpoint
    assert (told.number, told.position, told.count, told.hash, told.previous) == (1, 3, 3, link.hex(), "")
    assert texts(path) == [made.text]
    assert is_private(path)


async def test_each_checkpoint_names_the_one_before(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        for _ in range(3):
            await writer.register()
            assert await takes.step(now=True)
        assert await takes.step(now=True) is None, "nothing has happened since"
    read = [verified(text) for text in texts(path)]
    assert [one.checkpoint.number for one in read] == [1, 2, 3]
    assert [one.checkpoint.previous for one in read] == ["", link_to(read[0].text), link_to(read[1].text)]


async def test_one_is_due_after_so_many_events_or_after_so_long(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        await writer.register()
        takes = checkpointer(writer, path, events=3)
        assert await takes.step(), "the first event of a log is covered at once"
        await writer.register(2)
        assert await takes.step() is None
        await writer.register()
        made = await takes.step()
        assert made
        assert made.checkpoint.position == 4
        await writer.register()
        at_once = Checkpointer(
            database, key_of(writer.keys.keyring), CheckpointFile(path), events=10**9,
            interval=timedelta(microseconds=1),
        )  # fmt: skip
        assert await at_once.step()


async def test_many_checkpointers_make_each_checkpoint_once(database: str, tmp_path: Path) -> None:
    async with Writer(database) as writer:
        paths = [tmp_path / f"machine{number}.jws" for number in range(2)]
        replicas = [checkpointer(writer, paths[number % 2]) for number in range(6)]
        for _ in range(4):
            await writer.register(2)
            await asyncio.gather(*(replica.step(now=True) for replica in replicas))
        await asyncio.gather(*(replica.step() for replica in replicas))
    with psycopg.connect(database) as connection:
        made = [
            text for (text,) in connection.execute("SELECT checkpoint FROM log_checkpoints ORDER BY number")
        ]
    assert [verified(text).checkpoint.number for text in made] == list(range(1, len(made) + 1))
    assert texts(paths[0]) == texts(paths[1]) == made, "every machine's file is whole"


async def test_a_line_that_a_crash_tore_swallows_nothing(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        await writer.register()
        first = await takes.step(now=True)
        await writer.register()
        second = await takes.step(now=True)
        assert first
        assert second
        write(path, f"{first.text}\n{second.text[:40]}")
        assert await takes.step(now=True) is None
        assert texts(path) == [first.text, second.text[:40], second.text]
        with psycopg.connect(database) as connection:
            seen: list[str] = []
            witnesses = Witnesses(connection, CheckpointFile(path), takes.key.kid)
            assert len(list(witnesses.read(lambda *what: seen.append(what[1])))) == 2
    assert not seen
    assert "1 lines of the file" in witnesses.notes[0]


async def test_the_newest_are_found_from_the_end_of_a_long_file(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        await writer.register()
        made = await checkpointer(writer, path).step(now=True)
        assert made
        # Lines of many lengths, so that blocks end anywhere within them.
        write(path, "".join(f"{made.text}\n{'x' * length}\n" for length in range(0, 4000, 7)))
    found = list(CheckpointFile(path).newest_first())
    assert [one.text for one in found] == [made.text] * len(range(0, 4000, 7))


async def test_a_log_that_was_cut_behind_its_back_gets_no_further_checkpoint(
    database: str, path: Path
) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        await writer.register(3)
        await takes.step(now=True)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
            connection.execute("DELETE FROM events WHERE position = 3")
            with pytest.raises(LogDisagrees, match="ends at 2, and was signed up to 3"):
                await takes.step(now=True)
            connection.execute("DELETE FROM log_checkpoints")
        with pytest.raises(LogDisagrees, match="is not the database's"):
            await takes.step(now=True)


async def test_checkpoints_hold_whatever_becomes_of_the_keys_that_sign_tokens(
    database: str, path: Path
) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        for _ in range(2):
            await writer.register()
            await takes.step(now=True)
            with psycopg.connect(database, autocommit=True) as connection:
                store = KeyStore(connection, writer.keys.keyring)
                store.settle("ES256")
                store.rotate(now=True)
                for key in store.all():
                    if key.state == "retired":
                        store.retire(key.kid, timedelta(), force=True)
        kids = {verified(text).kid for text in texts(path)}
        assert kids == {key_of(writer.keys.keyring).kid}


async def test_whoever_listens_hears_of_each_checkpoint(
    database: str, path: Path, servers: EmbeddedServers
) -> None:
    url = servers.nats
    assert url
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        client = await connect(url, name="test")
        try:
            subscription = await client.subscribe(SUBJECT)
            await client.flush()
            await writer.register()
            made = await takes.step(now=True)
            assert made
            await NatsAnnouncer(url)(made)
            message = await subscription.next_msg(timeout=10)
        finally:
            await close(client)
    assert verified(message.data.decode()) == made


async def test_a_broker_that_is_away_costs_no_checkpoint() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    nobody = NatsAnnouncer("nats://127.0.0.1:1", within=0.1)
    await nobody(signed(following(None, NOTHING, at), SigningKey.make("EdDSA")))


async def test_a_process_that_ends_signs_what_is_not_due_yet(database: str, path: Path) -> None:
    async with Writer(database) as writer:
        takes = checkpointer(writer, path)
        await writer.register()
        await takes.step()
        await writer.register(2)
        assert await takes.step() is None, "not due"
        await takes.finish()
        assert [verified(text).checkpoint.position for text in texts(path)] == [1, 3]
        await takes.finish()
        assert len(texts(path)) == 2, "nothing has come since"


async def test_a_file_that_cannot_be_written_is_no_matter_of_verifying_the_log(
    database: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.touch()
    async with Writer(database) as writer:
        await writer.register()
        running = asyncio.create_task(checkpointer(writer, path).run())

        async def complained() -> bool:
            return bool(caplog.records)

        await eventually(complained)
        running.cancel()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "usersd.integrity"]
    assert line.startswith("no checkpoint can be written down: ")
    assert line.endswith("MG_USERS_CHECKPOINT_FILE names another path.")


async def test_a_process_that_ends_without_a_database_ends_all_the_same(
    database: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Writer(database) as writer:
        key = key_of(writer.keys.keyring)
    away = Checkpointer("host=/nowhere", key, CheckpointFile(path), events=1, interval=timedelta(days=1))
    await away.finish()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "usersd.integrity"]
    assert line == "no checkpoint at the end (OperationalError): the next start signs it"
