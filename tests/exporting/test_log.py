"""The log goes out in its canonical form and comes in somewhere else, whole."""

from __future__ import annotations

import asyncio
import stat
import tracemalloc
from pathlib import Path

import msgspec
import psycopg
import pytest

from application.exporting import ExportRefused
from infrastructure.erasure.ledger import Ledger
from infrastructure.erasure.verification import verdicts
from infrastructure.exporting import loading
from infrastructure.exporting.lines import decode
from infrastructure.integrity import verification
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.guard import require_whole_log
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from infrastructure.operations.exporting import PostgresExports
from tests.exporting.operating import exports, quietly
from tests.exporting.varied import NEW_SECRET, OF_A_NEWER_VERSION, Varied, exported, rows
from tests.integrity.sealed import checkpointer
from tests.support.databases import Databases
from tests.support.service import SECRET, running_service
from tests.support.truth import check_chain
from tests.support.writer import Writer


def test_what_comes_in_goes_out_again_byte_for_byte(
    source: Varied, files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    file, key = files
    there = exports(database, tmp_path / "home", root_key=b"another root key".ljust(32, b"!"))
    done = there.import_log(file, key, quietly)
    assert (done.erased, done.clients, done.checkpoints, done.newer) == (2, 1, 2, 1)
    there.export_log(tmp_path / "again.ndjson", key, quietly)
    assert (tmp_path / "again.ndjson").read_bytes() == file.read_bytes()
    wanted, found = rows(source.conninfo), rows(database)
    for table, expected in wanted.items():
        assert expected, f"nothing in {table} was ever compared"
        assert found[table] == expected, table


def test_two_exports_under_one_key_are_the_same_and_under_two_keys_share_no_sealed_byte(
    source: Varied, files: tuple[Path, Path], tmp_path: Path
) -> None:
    file, key = files
    out = exports(source.conninfo, source.home)
    out.export_log(tmp_path / "same.ndjson", key, quietly)
    assert (tmp_path / "same.ndjson").read_bytes() == file.read_bytes()
    other, _ = exported(source, tmp_path)
    mine, theirs = (
        {
            line.key
            for raw in path.read_bytes().splitlines()
            if (line := decode(raw)).__struct_config__.tag == "user"
        }
        - {None}
        for path in (file, other)
    )
    assert mine
    assert not mine & theirs


async def test_everybody_logs_in_after_an_import_with_the_secret_of_before(
    source: Varied, files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(exports(database, tmp_path / "home").import_log, *files, quietly)
    async with running_service(database) as client:
        await client.as_admin()
        await client.as_user(source.plain)
        await client.as_user(source.changed, NEW_SECRET)
        for identity, secret in (
            (source.changed, SECRET),
            (source.deleted, SECRET),
            (source.disabled, SECRET),
        ):
            body = {"identity": identity, "secret": secret}
            assert (await client.http.post("/users/tokens/issue", json=body)).status_code == 401
        answer = await client.http.post("/users", json=client.account(email=source.deleted.upper()))
        assert answer.status_code == 409, "the names of a deleted account stay taken"
        answer = await client.http.get(f"/users/{source.erased}", headers=await client.as_admin())
        assert answer.status_code == 404


async def test_checkpoints_and_certificates_hold_after_an_import_and_new_ones_follow_them(
    source: Varied, files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    await asyncio.to_thread(exports(database, home).import_log, *files, quietly)
    file = CheckpointFile(home / "log-checkpoints.jws")
    async with Writer(database, first=900) as writer:
        takes = checkpointer(writer, file.path)
        await takes.step()
        await writer.register()
        assert await takes.step(now=True)
        kid = key_of(writer.keys.keyring).kid
    await asyncio.to_thread(require_whole_log, database, file, kid, "")
    with psycopg.connect(database, autocommit=True) as connection:
        found = Walk(connection, Witnesses(connection, file, kid)).verify()
        assert (found.findings, found.checkpoints, found.covered) == ([], 3, found.events)
        check_chain(connection)
        (verdict,) = verdicts(connection)
    assert (verdict.signature, verdict.chain, verdict.left) == ("holds", "whole", 0)
    assert (verdict.epoch, verdict.root_key) == ("destroyed", "the same")
    assert set(Ledger(home / "erasure-ledger.ndjson").entries()[0]) == {source.erased, source.being_erased}


def test_nothing_of_before_is_mailed_after_an_import(
    files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    done = exports(database, tmp_path / "home").import_log(*files, quietly)
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT position FROM reactors WHERE name = 'mails'").fetchone()
    assert row == (done.events,)


def test_only_who_has_the_key_reads_what_is_personal(source: Varied, files: tuple[Path, Path]) -> None:
    file, key = files
    text = file.read_bytes()
    for canary in (source.plain, source.deleted, "Lovelace", "$2b$", source.client_secret):
        assert canary.encode() not in text
    assert key.read_text().strip().encode() not in text
    assert OF_A_NEWER_VERSION.encode() in text
    for each in files:
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_an_export_that_fails_leaves_what_was_there_and_nothing_beside_it(
    databases: Databases, tmp_path: Path
) -> None:
    file = tmp_path / "log.ndjson"
    file.write_text("the export of yesterday")
    with databases.fresh() as torn:
        with psycopg.connect(torn) as connection:
            connection.execute(
                "INSERT INTO user_keys VALUES ('1b4e28ba-2fa1-4d2e-883f-0016d3cca427', 1, 'x', NULL)"
            )
        with pytest.raises(ExportRefused, match="has a key or credentials and no events"):
            exports(torn, tmp_path).export_log(file, None, quietly)
    assert file.read_text() == "the export of yesterday"
    assert {path.name for path in tmp_path.iterdir()} == {"log.ndjson", "log.ndjson.key"}


async def test_a_log_that_does_not_hold_is_not_exported(database: str, tmp_path: Path) -> None:
    async with Writer(database) as writer:
        first, second = await writer.register(2)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE names SET user_id = %s WHERE user_id = %s AND kind = 'email'", (first, second)
        )
    with pytest.raises(ExportRefused, match="holds are not those that the log tells"):
        exports(database, tmp_path).export_log(tmp_path / "a", None, quietly)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM credentials WHERE user_id = %s", (second,))
    with pytest.raises(ExportRefused, match="without credentials"):
        exports(database, tmp_path).export_log(tmp_path / "b", None, quietly)


def test_the_export_and_its_key_are_two_files(source: Varied, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="another file for one of them"):
        exports(source.conninfo, source.home).export_log(tmp_path / "x", tmp_path / "x", quietly)


def test_an_empty_log_goes_out_and_comes_in_too(database: str, databases: Databases, tmp_path: Path) -> None:
    exports(database, tmp_path / "one").export_log(tmp_path / "log", None, quietly)
    with databases.fresh() as other:
        done = exports(other, tmp_path / "two").import_log(tmp_path / "log", tmp_path / "log.key", quietly)
    assert msgspec.to_builtins(done)["events"] == 0


@pytest.mark.system
async def test_memory_stays_flat_however_long_the_log_is(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is held at once is to be less than the shorter log.
    monkeypatch.setattr(verification, "PAGE", 500)
    monkeypatch.setattr(loading, "BATCH", 500)
    monkeypatch.setattr(PostgresExports, "_build_read_models", lambda self, moved: None)
    peaks: dict[str, list[int]] = {"out": [], "in": []}
    for users in (2_500, 10_000):
        with databases.fresh() as one, databases.fresh() as other:
            async with Writer(one) as writer:
                for _ in range(5):
                    await writer.register(users // 5)
            file, key = tmp_path / f"log{users}", tmp_path / f"key{users}"
            out, into = exports(one, tmp_path), exports(other, tmp_path)
            tracemalloc.start()
            await asyncio.to_thread(out.export_log, file, key, quietly)
            peaks["out"].append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
            await asyncio.to_thread(into.import_log, file, key, quietly)
            peaks["in"].append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    for way, (few, many) in peaks.items():
        assert many < 1.3 * few, (way, few, many)
