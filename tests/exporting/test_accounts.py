"""Every account goes out as a line that an import reads, exactly as the log has it."""

from __future__ import annotations

import contextlib
import os
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from application.documents import render_document
from application.exporting import AccountsExported, ExportRefused
from application.importing import Account, faults, imported
from domain import events
from domain.user import fold
from infrastructure.accounts.foreign_hashes import flaw_of
from infrastructure.exporting import accounts
from infrastructure.exporting.private_file import private_file
from tests.exporting.operating import exports, quietly
from tests.exporting.varied import OF_A_NEWER_VERSION, Varied
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, projecting
from tests.support.crowd import fill
from tests.support.databases import ROOT_KEY
from tests.support.truth import documents, read_log
from tests.support.writer import AT, Writer

DOCUMENTS = """
UPDATE users_v1_g1 SET document = convert_to(jsonb_build_object(
    'id', id, 'email', email, 'status', 'enabled', 'role', 'user', 'credentials', '{}'::jsonb,
    'created_at', '2026-01-01T00:00:00Z', 'updated_at', '2026-01-01T00:00:00Z',
    'verified_at', '2026-01-01T00:00:00Z')::text, 'utf8')"""


def exported(conninfo: str, to: Path, *, with_hashes: bool = False) -> AccountsExported:
    return exports(conninfo, to.parent).accounts(to, quietly, with_hashes=with_hashes)


def read(file: Path) -> list[Account]:
    return [msgspec.json.decode(line, type=Account, strict=True) for line in file.read_bytes().splitlines()]


def folded_again(account: Account) -> Any:
    """The document of the user that an import of the account would make."""
    return msgspec.json.decode(render_document(fold(account.id, [imported(account, AT)])))


async def test_an_import_would_make_of_each_line_the_user_that_the_log_has(
    database: str, tmp_path: Path
) -> None:
    async with Writer(database) as writer, projecting(writer):
        await writer.random_history(seed=3, users=40, events_each=4)
        (gone, _) = await writer.register(2)
        await writer.append(gone, events.ErasureRequested(at=AT))
        await caught_up(database)
    done = exported(database, tmp_path / "a.ndjson")
    found = read(tmp_path / "a.ndjson")
    said = documents(await read_log(database, ROOT_KEY))
    assert (done.accounts, done.folded, done.left) == (41, 0, [])
    assert {account.id: folded_again(account) for account in found} == {
        user_id: document for user_id, (_, document) in said.items()
    }
    assert [account.id for account in found] == sorted(said)
    assert {account.status for account in found} >= {"deleted", "disabled", "enabled"}
    assert {account.dialect for account in found} == {"magistrala", "mainflux"}
    assert [fault for account in found for fault in faults(account, hash_flaw=flaw_of)] == []


async def test_rows_that_lag_are_folded_from_the_log_and_come_to_the_same(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Writer(database) as writer:
        async with projecting(writer):
            users = await writer.random_history(seed=5, users=20, events_each=3)
            await caught_up(database)
        await writer.rename(users[0])
        (new,) = await writer.register()
        await writer.append(users[1], events.ErasureRequested(at=AT))
        behind = exported(database, tmp_path / "behind")
        monkeypatch.setattr(accounts, "LAG", 0)
        from_the_log = exported(database, tmp_path / "log")
        async with projecting(writer):
            await caught_up(database)
        ahead = exported(database, tmp_path / "ahead")
    assert (behind.folded, from_the_log.folded, ahead.folded) == (2, 20, 0)
    texts = {(tmp_path / name).read_bytes() for name in ("behind", "log", "ahead")}
    assert len(texts) == 1
    ids = [account.id for account in read(tmp_path / "ahead")]
    assert new in ids
    assert users[1] not in ids


def test_what_an_import_has_taken_goes_out_again_byte_for_byte(
    source: Varied, database: str, tmp_path: Path
) -> None:
    first, again = tmp_path / "first.ndjson", tmp_path / "again.ndjson"
    done = exported(source.conninfo, first, with_hashes=True)
    taken = usersd(database, "import", "--from", str(first))
    assert taken.code == 0, taken
    assert exported(database, again, with_hashes=True).accounts == done.accounts
    assert again.read_bytes() == first.read_bytes()


def test_hashes_go_out_only_where_they_are_asked_for(source: Varied, tmp_path: Path) -> None:
    exported(source.conninfo, tmp_path / "without")
    exported(source.conninfo, tmp_path / "with", with_hashes=True)
    assert {account.secret_hash for account in read(tmp_path / "without")} == {None}
    hashes = {account.email: account.secret_hash for account in read(tmp_path / "with")}
    for email in (source.plain, source.deleted, source.disabled):
        assert str(hashes[email]).startswith("$2b$")
    assert stat.S_IMODE((tmp_path / "with").stat().st_mode) == 0o600


def test_whose_history_cannot_be_read_is_left_out_and_named(source: Varied, tmp_path: Path) -> None:
    with psycopg.connect(source.conninfo) as connection:
        row = connection.execute(
            "SELECT stream_id FROM events WHERE name = %s", (OF_A_NEWER_VERSION,)
        ).fetchone()
    assert row is not None
    done = usersd(source.conninfo, "export", "--with-hashes")
    assert done.code == 1
    assert f"user {row[0]} is not among them: event 2 ({OF_A_NEWER_VERSION})" in done.err
    assert f"{len(done.rows)} accounts, as the log has them" in done.err
    assert str(row[0]) not in done.out
    assert str(source.erased) not in done.out


async def test_the_command_line_says_what_a_file_without_hashes_is_worth(
    database: str, tmp_path: Path
) -> None:
    async with Writer(database) as writer:
        await writer.register(3)
    file = tmp_path / "out.ndjson"
    done = usersd(database, "export", "--to", str(file))
    assert (done.code, done.out) == (0, ""), done
    assert "nobody of them can log in" in done.err
    assert len(read(file)) == 3
    assert os.listdir(tmp_path) == [file.name]


async def test_an_export_that_fails_or_meets_another_leaves_what_was_there(
    database: str, tmp_path: Path
) -> None:
    file = tmp_path / "out.ndjson"
    file.write_text("of yesterday")
    async with Writer(database) as writer:
        await writer.register()
    with contextlib.suppress(ZeroDivisionError), private_file(file) as half:
        half.write(b"half of an export")
        with pytest.raises(ExportRefused, match="Another export is writing"):
            exported(database, file)
        assert file.read_text() == "of yesterday"
        raise ZeroDivisionError
    assert file.read_text() == "of yesterday"
    assert os.listdir(tmp_path) == [file.name]
    with pytest.raises(ExportRefused, match="cannot be written"):
        exported(database, tmp_path / "nowhere" / "out")


def test_memory_stays_flat_however_many_there_are(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "PAGE", 250)
    peaks = []
    for users in (1_000, 4_000):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("TRUNCATE users_v1_g1, credentials")
        fill(database, users)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(DOCUMENTS)
            connection.execute(
                "INSERT INTO credentials SELECT id, NULL, 1, status, role, true FROM users_v1_g1"
            )
        tracemalloc.start()
        done = exported(database, tmp_path / "out")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.accounts == users
    assert peaks[1] < 1.3 * peaks[0], peaks
