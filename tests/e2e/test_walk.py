"""The walk of the README, command by command, with the real program and the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.program import Ended, Program, program

ROOT = Path(__file__).parents[2]
ADA = {
    "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
    "credentials": {"username": "ada", "secret": "changeMe123"},
}  # fmt: skip


@pytest.fixture(scope="module")
def walked() -> Iterator[Program]:
    """A service that runs, on which the tests of this file go the walk in their order."""
    with program() as made:
        made.start()
        yield made


@pytest.fixture
def http(walked: Program) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=walked.url, timeout=30, trust_env=False) as client:
        yield client


def login(http: httpx.Client, identity: str, secret: str) -> dict[str, str]:
    answer = http.post("/users/tokens/issue", json={"identity": identity, "secret": secret})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def follow(walked: Program) -> list[list[str]]:
    """The lines that the example prints until nothing new comes."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/follow_users.py"), "--until-caught-up"],
        env=walked.environ, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


def test_the_service_is_well(http: httpx.Client) -> None:
    assert http.get("/health").json()["status"] == "pass"
    assert http.get("/livez").status_code == 200
    assert http.get("/readyz").json()["status"] == "pass"


def test_register_log_in_and_show_the_profile(http: httpx.Client) -> None:
    answer = http.post("/users", json=ADA)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/users/{answer.json()['id']}"
    assert answer.headers["usersd-position"] == "2"
    profile = http.get("/users/profile", headers=login(http, "ada@example.com", "changeMe123"))
    assert profile.status_code == 200
    assert profile.json() == answer.json()
    assert "changeMe123" not in profile.text


def test_the_admin_lists_the_users_and_a_plain_user_may_not(http: httpx.Client) -> None:
    listed = http.get("/users?limit=10", headers=login(http, "admin@example.com", "12345678"))
    assert listed.status_code == 200
    assert {user["email"] for user in listed.json()["users"]} == {"ada@example.com", "admin@example.com"}
    assert http.get("/users", headers=login(http, "ada", "changeMe123")).status_code == 403


def test_the_example_prints_the_events_and_goes_on_where_it_stopped(
    walked: Program, http: httpx.Client
) -> None:
    ada = http.get("/users/profile", headers=(of_ada := login(http, "ada", "changeMe123"))).json()
    told = follow(walked)
    assert [line[:2] for line in told] == [["1", "registered"], ["2", "registered"]]
    assert told[1][2] == ada["id"]
    assert http.patch(f"/users/{ada['id']}", json={"first_name": "A."}, headers=of_ada).status_code == 200
    assert follow(walked) == [["3", "profile_updated", ada["id"]]]


def test_the_command_line_attaches_to_the_service_that_runs(walked: Program, http: httpx.Client) -> None:
    listed = data(walked.cli("projections", "list", "--json"))
    assert [row["name"] for row in listed] == ["users", "history", "signups"]
    rebuilt = walked.cli("projections", "rebuild", "users")
    assert (rebuilt.code, rebuilt.out) == (0, ""), rebuilt
    told = rebuilt.err.splitlines()
    assert "users: rebuilt as generation 2, at position 3" in told
    assert any(line.startswith("users: switched in ") for line in told)
    assert "not the same" not in rebuilt.err
    status = data(walked.cli("projections", "status", "--json"))
    assert {(row["name"], row["generation"], row["state"]) for row in status} == {
        ("users", 1, "following"),
        ("users", 2, "live"),
        ("history", 1, "live"),
        ("signups", 1, "live"),
    }
    assert {row["lag_events"] for row in status if row["state"] == "live"} == {0}
    assert "generation" in walked.cli("projections", "status").out
    assert http.get("/readyz").status_code == 200


def test_the_log_is_shown_without_what_is_personal_unless_it_is_asked_for(walked: Program) -> None:
    tail = data(walked.cli("events", "tail", "--json"))
    assert [row["position"] for row in tail] == [1, 2, 3]
    assert tail[1]["data"]["email"] == "(personal)"
    assert "ada@example.com" not in walked.cli("events", "tail").out
    (shown,) = data(walked.cli("events", "show", "2", "--json", "--personal"))
    assert shown["data"]["email"] == "ada@example.com"
    of_ada = data(walked.cli("events", "show", shown["user_id"], "--json"))
    assert [row["name"] for row in of_ada] == ["users.registered.v1", "users.profile_updated.v1"]


def test_what_is_not_there_and_what_makes_no_sense_have_their_exit_codes(walked: Program) -> None:
    missing = walked.cli("events", "show", "99")
    assert (missing.code, missing.out, missing.err) == (1, "", "There is nothing at 99.\n")
    nonsense = walked.cli("events", "show", "nonsense")
    assert (nonsense.code, nonsense.out) == (2, "")
    assert walked.cli("projections", "rebuild", "nothing").code == 2
    assert walked.cli("nonsense").code == 2


def test_the_settings_are_shown_with_their_sources_and_without_secrets(walked: Program) -> None:
    checked = walked.cli("config", "check", "--json", MG_USERS_ADMIN_PASSWORD="a secret of mine")
    assert checked.code == 0, checked
    rows = {row["name"]: row for row in checked.rows}
    assert rows["MG_USERS_BCRYPT_COST"]["value"] == "4"
    assert "a secret of mine" not in checked.out + checked.err
    assert walked.cli("config", "check", MG_USERS_HTTP_PORT="eighty").code == 2


def test_stopped_the_service_leaves_its_data_to_the_command_line_and_to_its_next_start(
    walked: Program,
) -> None:
    walked.terminate()
    assert walked.wait() == 0
    assert data(walked.cli("events", "tail", "--json"))[-1]["position"] == 3
    (rebuilt,) = data(walked.cli("projections", "rebuild", "history", "--full-speed", "--json"))
    assert rebuilt.pop("switched_in_milliseconds") > 0
    assert rebuilt == {"name": "history", "generation": 2, "position": 3, "parked": 0, "corrected": 0}
    status = data(walked.cli("projections", "status", "--json"))
    live = {(row["name"], row["generation"], row["owner"]) for row in status if row["state"] == "live"}
    assert live == {("history", 2, None), ("users", 2, None), ("signups", 1, None)}
    assert not servers_of(walked)
    walked.start()
    with httpx.Client(base_url=walked.url, timeout=30, trust_env=False) as http:
        profile = http.get("/users/profile", headers=login(http, "ada", "changeMe123"))
        assert profile.json()["first_name"] == "A."
        history = http.get(
            f"/users/{profile.json()['id']}/history", headers=login(http, "admin@example.com", "12345678")
        )
        assert [entry["event"] for entry in history.json()["history"]] == ["profile_updated", "registered"]
    assert follow(walked) == []


def data(ended: Ended) -> list[dict[str, Any]]:
    """The rows of a command that went well and had nothing to say but its data."""
    assert ended.code == 0, ended
    return ended.rows


def servers_of(walked: Program) -> list[int]:
    """The servers that the nanny launched last and that still run."""
    servers = json.loads((walked.data / "servers.json").read_text())
    return [server["pid"] for server in servers.values() if server["pid"] and _runs(server["pid"])]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
