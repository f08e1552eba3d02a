"""docs/MIGRATION.md followed word by word: each command in its turn, while people use the old service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.importing.original_crowd import SHAPES, Row, crowd, hash_of, original, put
from tests.importing.original_terminal import WITHIN, Terminal, uri
from tests.projections.commanding import settings
from tests.support.databases import Databases
from tests.support.program import USERSD, Program, program
from tests.support.waiting import at_last

PAGE = (Path(__file__).parents[2] / "docs" / "MIGRATION.md").read_text("utf-8")
COUNT = 60
TABLES = {"magistrala_users": ("users", "email"), "mainflux_clients": ("clients", "identity")}


def blocks(heading: str) -> list[str]:
    """The commands below a heading, as they stand there."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section, heading
    return re.findall(r"^```sh\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)


class Old:
    """The old service, of which only the table is left."""

    def __init__(self, dsn: str, shape: str) -> None:
        self.dsn = dsn
        self.table, self.login = TABLES[shape]

    def change(self, row: Row, **values: Any) -> None:
        values = {"updated_at": datetime.now(UTC)} | values
        with psycopg.connect(self.dsn) as connection:
            sets = ", ".join(f"{name} = %({name})s" for name in values)
            query = f"UPDATE {self.table} SET {sets} WHERE id = %(id)s"
            connection.execute(query.encode(), values | {"id": row["id"]})

    def add(self, row: Row) -> None:
        with psycopg.connect(self.dsn) as connection:
            put(connection, [row])


@contextmanager
def typed(made: Program, original_dsn: str, dialect: str) -> Iterator[Terminal]:
    environ = made.environ | {
        "PATH": f"{USERSD.parent}:{made.environ['PATH']}",
        "ORIGINAL": uri(original_dsn),
        "DIALECT": dialect,
        "NO_PROXY": "*",
    }
    terminal = Terminal(made.home, environ)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    "shape", ["magistrala_users", pytest.param("mainflux_clients", marks=pytest.mark.system)]
)
def test_the_runbook_leads_from_the_old_service_to_the_new_one(
    databases: Databases, database: str, shape: str
) -> None:
    rows = [row | {"status": 0, "role": 0} for row in crowd(COUNT)]
    twin = crowd(1, seed=2)[0] | {"email": rows[0]["email"].swapcase(), "username": None, "role": 1}
    twin["identity"] = twin["email"]
    with original(databases, shape, [*rows, twin]) as dsn, program(**settings(database)) as made:
        old = Old(dsn, shape)
        with typed(made, dsn, SHAPES[shape]) as terminal:
            rehearse_and_bring(terminal, made, old, twin)
            made.start()
            terminal.type(f"NEW={made.url}")
            follow(terminal, made, old, rows)
            switch_and_check(terminal, old, rows)
            old_secrets_log_in(made, [rows[5], rows[6], twin], shape)
            go_back(terminal, made)


def rehearse_and_bring(terminal: Terminal, made: Program, old: Old, twin: Row) -> None:
    (rehearsal,) = blocks("2. Rehearse")
    assert "email_taken" in terminal.type(rehearsal, 1)
    refused = [json.loads(line) for line in (made.home / "rehearsal.ndjson").read_text().splitlines()]
    assert [row["outcome"] for row in refused].count("refused") == 1
    old.change(twin, **{old.login: "twin@example.com"})
    twin["email"] = "twin@example.com"
    terminal.type(rehearsal)
    (bringing,) = blocks("3. Bring them in")
    assert f"imported{COUNT + 1:>18}" in terminal.type(bringing)


def follow(terminal: Terminal, made: Program, old: Old, rows: list[Row]) -> None:
    following, well = blocks("4. Start, and follow")
    terminal.type(following)
    log = made.home / "follow.log"
    old.change(rows[5], secret=hash_of("chosen meanwhile"))
    rows[5]["plain"] = "chosen meanwhile"
    newcomer = {"email": "new@example.com", "identity": "new@example.com", "username": None, "status": 0}
    old.add(crowd(1, seed=3)[0] | newcomer | {"updated_at": datetime.now(UTC)})
    at_last(lambda: log.exists() and "1 imported, 1 changed" in log.read_text(), WITHIN)
    at_last(lambda: httpx.get(f"{made.url}/readyz", trust_env=False).status_code == 200, WITHIN)
    terminal.type(well)


def switch_and_check(terminal: Terminal, old: Old, rows: list[Row]) -> None:
    catching_up, check, login = blocks("5. Switch")
    old.change(rows[6], secret=hash_of("at the last moment"))
    rows[6]["plain"] = "at the last moment"
    assert "left as they are" in terminal.type(catching_up)
    assert "the end: 0 imported, 0 changed, 0 closed, 0 left as they are" in terminal.type(check)
    body = json.dumps({"identity": rows[6]["email"], "secret": rows[6]["plain"]}, ensure_ascii=False)
    terminal.type(f"LOGIN='{body}'")
    terminal.type(login)
    verifying = blocks("6. Afterwards")
    for block in verifying:
        terminal.type(block)


def old_secrets_log_in(made: Program, rows: list[Row], shape: str) -> None:
    for row in rows:
        words = ("username", "password") if SHAPES[shape] == "magistrala" else ("identity", "secret")
        body = dict(zip(words, (row["email"], row["plain"]), strict=True))
        answer = httpx.post(f"{made.url}/users/tokens/issue", json=body, timeout=30, trust_env=False)
        assert answer.status_code == 201, answer.text


def go_back(terminal: Terminal, made: Program) -> None:
    account = {"credentials": {"identity": "after@example.com", "secret": "changeMe123"}}
    answer = httpx.post(f"{made.url}/users", json=account, timeout=30, trust_env=False)
    assert answer.status_code == 201, answer.text
    (since,) = blocks("Going back")
    told = terminal.type(since)
    assert "users.registered.v1" in told
    assert "users.imported.v1" not in told
    assert answer.json()["id"] in told
    exported = (made.home / "now.ndjson").read_text().splitlines()
    assert len(exported) == COUNT + 3
