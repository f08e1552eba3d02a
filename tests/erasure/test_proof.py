"""The proof: what was planted in an account is nowhere after its erasure, in no file and in no dump."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.backups import as_superuser, dump
from tests.support.program import Program, program
from tests.support.service import bearer
from tests.support.waiting import at_last

CANARIES: dict[str, Any] = {
    "first_name": "Quetzalfirst",
    "last_name": "Quetzallast",
    "email": "quetzalmail@example.com",
    "tags": ["quetzaltag"],
    "metadata": {"room": "quetzalroom"},
    "private_metadata": {"diet": "quetzaldiet"},
    "credentials": {"username": "quetzaluser", "secret": "quetzalsecret1"},
}
TRACE = b"quetzal"
CONSOLE = ("out.1",)

# What a VACUUM leaves behind: dead rows, statistics of values that are gone, and WAL.
_REWRITE = (
    "VACUUM FULL",
    "VACUUM FULL pg_statistic",
    "ANALYZE",
    "CHECKPOINT",
    "SELECT pg_switch_wal()",
    "CHECKPOINT",
)


@pytest.fixture
def usersd() -> Iterator[Program]:
    with program(MG_USERS_SWEEP="deleted") as made:
        made.start()
        yield made


def call(usersd: Program, method: str, path: str, token: str = "", **body: Any) -> httpx.Response:
    headers = bearer(token) if token else {}
    return httpx.request(
        method, usersd.url + path, json=body or None, headers=headers, trust_env=False, timeout=20
    )


def planted(usersd: Program) -> str:
    """An account full of canaries, changed once; its id."""
    user = call(usersd, "POST", "/users", "", **CANARIES).json()
    login = {"identity": CANARIES["email"], "secret": "quetzalsecret1"}
    token = call(usersd, "POST", "/users/tokens/issue", "", **login).json()["access_token"]
    changed = call(usersd, "PATCH", f"/users/{user['id']}", token, last_name="Quetzalother")
    assert changed.status_code == 200, changed.text
    sent = call(usersd, "POST", "/users/send-verification", token)
    assert sent.status_code == 200, sent.text
    at_last(lambda: traces(usersd.data / "mail"), within=20)
    return str(user["id"])


def certified(usersd: Program, user_id: str) -> None:
    try:
        at_last(lambda: usersd.cli("users", "certificate", user_id).code == 0, within=30)
    except AssertionError:
        raise AssertionError(f"{usersd.cli('erasures', 'list', '--json')}\n{usersd.output()}") from None


def traces(folder: Path) -> list[str]:
    """The files in which a canary stands, whatever its case."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sorted(str(file.relative_to(folder)) for file in files if TRACE in file.read_bytes().lower())


def test_nothing_that_was_planted_is_left_in_any_file_or_dump(usersd: Program) -> None:
    user_id = planted(usersd)
    at_last(lambda: traces(usersd.data / "nats"), within=20)
    assert TRACE in dump(usersd).lower(), "read models hold names in clear until the user is forgotten"
    erased = usersd.cli("users", "erase", user_id, "--reason", "ticket-7", "--yes")
    assert erased.code == 0, erased
    certified(usersd, user_id)
    epoch = usersd.cli("keys", "new-epoch", "--json")
    assert epoch.rows[0]["destroyed"] == [1], epoch
    assert TRACE not in dump(usersd).lower()
    with psycopg.connect(as_superuser(usersd), autocommit=True) as connection:
        for statement in _REWRITE:
            connection.execute(statement.encode())
    verified = usersd.cli("erasures", "verify", "--json")
    assert verified.code == 0, verified
    assert verified.rows[0] == {
        "user_id": user_id, "signature": "holds", "chain": "whole", "left": 0, "epoch": "destroyed",
        "root_key": "the same",
    }  # fmt: skip
    for name in ("users", "history"):
        assert usersd.cli("projections", "rebuild", name).code == 0
    usersd.terminate()
    assert usersd.wait() == 0
    # WAL that is recycled is written over in its own time.
    assert [file for file in traces(usersd.home) if "/pg_wal/" not in file and file not in CONSOLE] == []
    console = (usersd.home / "out.1").read_text().splitlines()
    told = [line for line in console if TRACE.decode() in line.lower()]
    assert all('"usersd.mail"' in line for line in told), "the console of a developer, who reads mails there"
    assert user_id in (usersd.data / "erasure-ledger.ndjson").read_text()
