"""The command line for accounts and erasures, on the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.program import Program, program

NOBODY = str(uuid4())


@pytest.fixture(scope="module")
def usersd() -> Iterator[Program]:
    """A running program whose accounts are due as soon as they are deleted."""
    with program(MG_USERS_DELETE_AFTER="1ms") as made:
        made.start()
        yield made


def call(usersd: Program, method: str, path: str, token: str = "", **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.request(
        method, usersd.url + path, json=body or None, headers=headers, trust_env=False, timeout=20
    )
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def account(usersd: Program, name: str) -> str:
    credentials = {"username": name, "secret": "changeMe123"}
    names = {"first_name": "Ada", "last_name": "Lovelace", "email": f"{name}@example.com"}
    return str(call(usersd, "POST", "/users", "", **names, credentials=credentials)["id"])


def token(usersd: Program, identity: str, secret: str) -> str:
    issued = call(usersd, "POST", "/users/tokens/issue", identity=identity, secret=secret)
    return str(issued["access_token"])


def test_a_sweep_lists_who_would_go_and_then_takes_them(usersd: Program) -> None:
    user_id = account(usersd, "swept")
    admin = token(usersd, "admin@example.com", "12345678")
    call(usersd, "DELETE", f"/users/{user_id}", admin)
    due = usersd.cli("sweep", "--dry-run", "--json")
    assert [row.keys() for row in due.rows] == [{"user_id", "status", "since"}], due
    assert due.rows[0]["user_id"] == user_id
    # Whichever sweep is the first of its kind, the service's own or this one, only reports.
    assert usersd.cli("sweep").code == 0
    swept = usersd.cli("sweep")
    assert "erased" in swept.err, swept
    assert usersd.cli("sweep", "--dry-run", "--json").rows == []
    assert user_id in [row["user_id"] for row in usersd.cli("erasures", "list", "--json").rows]


def test_an_erasure_is_asked_for_by_id_with_a_word_and_not_by_accident(usersd: Program) -> None:
    user_id = account(usersd, "erased")
    assert usersd.cli("users", "erase", "ada@example.com", "--yes").code == 2
    assert usersd.cli("users", "erase", user_id, "--reason", "Ada Lovelace", "--yes").code == 2
    assert usersd.cli("users", "erase", user_id).code == 1, "nobody is there to say yes"
    assert usersd.cli("users", "erase", NOBODY, "--yes").code == 1
    assert usersd.cli("users", "certificate", NOBODY).code == 75
    done = usersd.cli("users", "erase", user_id, "--yes")
    assert done.code == 0, done
    assert usersd.cli("users", "erase", user_id, "--yes").code == 1


def test_the_last_admin_is_not_erased(usersd: Program) -> None:
    admin = call(usersd, "GET", "/users/profile", token(usersd, "admin@example.com", "12345678"))
    refused = usersd.cli("users", "erase", admin["id"], "--yes")
    assert (refused.code, "last enabled admin" in refused.err) == (1, True)


def test_an_admin_is_made_with_a_secret_from_a_file_and_never_from_the_arguments(usersd: Program) -> None:
    secret = usersd.home / "secret"
    secret.write_text("another-Admin-7\n")
    names = ("--email", "second@example.com", "--username", "second")
    made = usersd.cli("users", "create-admin", *names, "--secret-file", str(secret))
    assert made.code == 0, made
    profile = call(usersd, "GET", "/users/profile", token(usersd, "second", "another-Admin-7"))
    assert (profile["id"], profile["role"]) == (made.out.strip(), "admin")
    again = usersd.cli("users", "create-admin", *names, "--secret-file", str(secret))
    assert (again.code, "another-Admin-7" in again.out + again.err) == (1, False)
    assert usersd.cli("users", "create-admin", "--email", "x", "--secret-file", str(secret)).code == 2
    secret.write_text("short")
    weak = usersd.cli("users", "create-admin", "--email", "third@example.com", "--secret-file", str(secret))
    assert weak.code == 1
