"""What was altered, cut off, sealed for others or meant for an empty database leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from application.exporting import ExportBusy, ExportRefused
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from infrastructure.keys.rewrap import ALIVE
from infrastructure.standing import open_keys
from tests.exporting.operating import exports, quietly
from tests.exporting.varied import Varied
from tests.integrity.sealed import checkpointer
from tests.support.databases import standing
from tests.support.writer import Writer

Change = Callable[[list[bytes]], list[bytes]]


def _of_kind(kind: str, change: Callable[[bytes], bytes]) -> Change:
    mark = f'{{"kind":"{kind}"'.encode()

    def changed(lines: list[bytes]) -> list[bytes]:
        place = next(
            number for number, line in enumerate(lines) if line.startswith(mark) and change(line) != line
        )
        return [*lines[:place], change(lines[place]), *lines[place + 1 :]]

    return changed


def _flipped(field: str) -> Callable[[bytes], bytes]:
    """Another first character of a sealed or hashed value."""

    def change(line: bytes) -> bytes:
        return re.sub(
            rf'("{field}":")(.)'.encode(), lambda found: found[1] + (b"B" if found[2] != b"B" else b"C"), line
        )

    return change


def _numbered(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    return lambda line: re.sub(pattern, by, line, count=1)


ALTERED: dict[str, tuple[Change, str]] = {
    "nothing in it": (lambda lines: [], "is not whole"),
    "its first line alone": (lambda lines: lines[:1], "is not whole"),
    "cut off between two lines": (lambda lines: lines[:-20], "is not whole"),
    "cut off within a line": (lambda lines: [*lines[:-20], lines[-20][:30]], "is not whole"),
    "without its last line": (lambda lines: lines[:-1], "is not whole"),
    "without an event": (lambda lines: [*lines[:9], *lines[10:]], "altered"),
    "without a checkpoint": (lambda lines: [*lines[:-3], *lines[-2:]], "altered"),
    "two lines swapped": (lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], "altered"),
    "kinds out of order": (lambda lines: [lines[0], *lines[2:-1], lines[1], lines[-1]], "altered"),
    "something behind its end": (lambda lines: [*lines, b"\n"], "altered"),
    "a line twice": (lambda lines: [*lines[:9], *lines[8:]], "contradict one another"),
    "another state of an event": (_of_kind("event", _flipped("state")), "altered"),
    "another hash of an event": (_of_kind("event", _flipped("hash")), "altered"),
    "another key of a user": (_of_kind("user", _flipped("key")), "does not open"),
    "another hash of a secret": (_of_kind("user", _flipped("secret_hash")), "does not open"),
    "another role": (_of_kind("user", _numbered(b'"role":"user"', b'"role":"admin"')), "altered"),
    "another secret of a client": (_of_kind("client", _flipped("secret_hash")), "does not open"),
    "another key of checkpoints": (_of_kind("log", _flipped("checkpoint_key")), "first line of the file"),
    "another count": (_of_kind("log", _numbered(b'"clients":1', b'"clients":0')), "altered"),
    "an unknown field": (_of_kind("event", _numbered(b"}", b',"more":1}')), "altered"),
    "a number beyond all": (
        _of_kind("event", _numbered(b'"version":1', b'"version":9' + b"9" * 20)),
        "altered",
    ),
    "no JSON": (_of_kind("event", lambda line: b"\xff\xfe\n"), "altered"),
    "another form": (_of_kind("log", _numbered(b"usersd-log", b"others-log")), "no export of a log"),
    "a newer version": (
        lambda lines: [b'{"kind":"log","format":"usersd-log","version":2,"new":1}\n', *lines[1:]],
        "version 2 of the form",
    ),
}


def _standing_of(conninfo: str) -> list[tuple[object, ...]]:
    """All that an import could have changed in an empty database."""
    tables = ("events", "credentials", "user_keys", "names", "erasures", "clients", "log_checkpoints",
              "discarded_events", "retired_signing_keys", "users_v1", "history_v1")  # fmt: skip
    with psycopg.connect(conninfo) as connection:
        found = [
            (t, *(connection.execute(f"SELECT count(*) FROM {t}".encode()).fetchone() or ())) for t in tables
        ]
        found += connection.execute("SELECT purpose, epoch, wrapped, destroyed_at FROM keyring ORDER BY 1, 2")
        found += connection.execute(
            "SELECT name, version, generation, position, live FROM projections ORDER BY 1"
        )
        return [*found, *connection.execute("SELECT name, position FROM reactors ORDER BY 1")]


@pytest.mark.parametrize("how", ALTERED)
def test_what_is_not_what_was_written_is_refused(
    how: str, files: tuple[Path, Path], empty: str, tmp_path: Path
) -> None:
    open_keys(standing(empty))
    before = _standing_of(empty)
    change, said = ALTERED[how]
    lines = files[0].read_bytes().splitlines(keepends=True)
    altered = tmp_path / "altered"
    altered.write_bytes(b"".join(change(lines)))
    assert altered.read_bytes() != files[0].read_bytes()
    with pytest.raises(ExportRefused, match=said):
        exports(empty, tmp_path / "home").import_log(altered, files[1], quietly)
    assert _standing_of(empty) == before
    assert not (tmp_path / "home" / "erasure-ledger.ndjson").exists()


def test_another_key_is_told_from_an_altered_file(
    files: tuple[Path, Path], empty: str, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    with pytest.raises(ExportRefused, match="sealed under another key"):
        exports(empty, tmp_path).import_log(files[0], key, quietly)
    key.write_text("secret words")
    with pytest.raises(ExportRefused) as refused:
        exports(empty, tmp_path).import_log(files[0], key, quietly)
    assert "secret words" not in str(refused.value)
    key.write_text("abcd")
    with pytest.raises(ExportRefused, match="64 hexadecimal digits"):
        exports(empty, tmp_path).import_log(files[0], key, quietly)
    with pytest.raises(ExportRefused, match="cannot be read"):
        exports(empty, tmp_path).import_log(files[0], tmp_path / "nowhere", quietly)
    with pytest.raises(ExportRefused, match="cannot be read"):
        exports(empty, tmp_path).import_log(tmp_path / "nowhere", files[1], quietly)


async def test_a_database_that_is_not_empty_takes_no_log(
    files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    async with Writer(database) as writer:
        await writer.register()
    with pytest.raises(ExportRefused, match="not empty: there is something in events"):
        exports(database, tmp_path).import_log(*files, quietly)


def test_a_database_that_a_service_runs_on_takes_no_log(
    files: tuple[Path, Path], empty: str, tmp_path: Path
) -> None:
    with psycopg.connect(empty, autocommit=True) as service:
        service.execute("SELECT pg_advisory_lock_shared(%s)", (ALIVE,))
        with pytest.raises(ExportBusy, match="stop every usersd"):
            exports(empty, tmp_path).import_log(*files, quietly)


async def test_a_data_directory_with_another_logs_checkpoints_takes_no_log(
    files: tuple[Path, Path], empty: str, database: str, tmp_path: Path
) -> None:
    async with Writer(database) as writer:
        await writer.register()
        await checkpointer(writer, tmp_path / "log-checkpoints.jws").step(now=True)
    with pytest.raises(ExportRefused, match="checkpoints of another log"):
        exports(empty, tmp_path).import_log(*files, quietly)


async def test_killed_at_any_moment_an_import_leaves_an_empty_database_or_a_whole_one(
    source: Varied, files: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    keyring = open_keys(standing(database)).keyring
    before = _standing_of(database)
    for stage in ("opening every seal", "committing"):
        await _killed_at(stage, files, database, tmp_path)
        assert _standing_of(database) == before, stage
    await _killed_at("switched", files, database, tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        kid = key_of(open_keys(standing(database)).keyring).kid
        assert kid != key_of(keyring).kid
        found = Walk(connection, Witnesses(connection, None, kid)).verify()
    assert found.findings == []
    assert found.checkpoints == 2


async def _killed_at(stage: str, files: tuple[Path, Path], conninfo: str, home: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.exporting.dying_import", conninfo, str(home), *map(str, files), stage
    )
    assert await process.wait() == -signal.SIGKILL, stage
