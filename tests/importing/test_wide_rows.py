"""However wide rows are, an import holds a few of them at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infrastructure.importing import bringing, originals
from infrastructure.importing.lines import MAX_LINE
from infrastructure.importing.originals import source_of
from tests.importing.accounts import brought, row
from tests.importing.original_crowd import crowd, original
from tests.importing.original_terminal import uri
from tests.projections.commanding import settings
from tests.support.databases import Databases
from tests.support.program import USERSD, program

COUNT = 300
WIDTH = 700_000
MOST_MEGABYTES = 300

RUN = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"""


def test_a_page_ends_where_it_is_wide_and_no_row_is_lost(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE_CHARACTERS", 10_000)
    rows = crowd(60)
    for number in range(20, 40):
        rows[number]["metadata"] = json.dumps({"wide": "x" * 6000})
    with original(databases, "magistrala_users", rows) as dsn:
        source = source_of(dsn, "magistrala")
        sizes: list[int] = []
        ask = source._database.page

        def page(*given: Any) -> tuple[list[tuple[Any, ...]], bool]:
            found = ask(*given)
            sizes.append(len(found[0]))
            return found

        monkeypatch.setattr(source._database, "page", page)
        offered = list(source.offered())
    assert [one.place for one in offered] == list(range(1, 61))
    assert [one.key for one in offered] == sorted(each["id"] for each in rows)
    assert all(one.account for one in offered)
    assert max(sizes) < 60


@pytest.mark.parametrize("column", ["metadata", "private_metadata", "tags"])
def test_a_row_that_is_wider_than_any_account_stays_there_and_is_named(
    databases: Databases, column: str
) -> None:
    rows = crowd(3)
    wide = "x" * MAX_LINE
    rows[1][column] = [wide] if column == "tags" else json.dumps({"wide": wide})
    with original(databases, "magistrala_users", rows) as dsn:
        offered = {one.key: one for one in source_of(dsn, "magistrala").offered()}
    assert [one.account is None for one in map(offered.__getitem__, (each["id"] for each in rows))] == [
        False, True, False,
    ]  # fmt: skip
    refused = offered[rows[1]["id"]]
    assert (refused.raw, refused.faults[0].pointer) == (None, "")
    assert "bytes" in refused.faults[0].message


async def test_few_are_under_way_where_rows_are_wide(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringing, "IN_FLIGHT_BYTES", 0)
    run = await brought(database, [row(number) for number in range(40)])
    assert run.brought.imported == 40


@pytest.mark.system
@pytest.mark.timeout(900)
def test_an_import_of_very_wide_rows_holds_less_than_300_megabytes(
    databases: Databases, database: str, tmp_path: Path
) -> None:
    # Nothing that compresses: the column takes as much room there as it does here.
    fill = f"""
        INSERT INTO users (id, email, status, metadata, created_at)
        SELECT gen_random_uuid()::text, n || '@example.com', 0, jsonb_build_object('wide', (
            SELECT string_agg(md5(random()::text || n || part), '')
            FROM generate_series(1, {WIDTH // 32}) AS part)), now()
        FROM generate_series(1, {COUNT}) AS n"""
    with original(databases, "magistrala_users", []) as dsn, program(**settings(database)) as made:
        with psycopg.connect(dsn) as connection:
            connection.execute(fill.encode())
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(USERSD), "import", "--from", uri(dsn), "--dialect", "magistrala"],
            env=made.environ, cwd=tmp_path, check=True, capture_output=True, text=True,
        )  # fmt: skip
    code, megabytes = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    assert int(megabytes) < MOST_MEGABYTES
