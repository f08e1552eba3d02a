"""A backup is restored that is older than what was made since: the whole program, a real dump and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.nats.broker import Broker
from tests.support.backups import dump, restored
from tests.support.program import Program, program
from tests.support.service import ADMIN, SECRET, bearer
from tests.support.waiting import at_last


@pytest.fixture
def usersd() -> Iterator[Program]:
    with program() as made:
        made.start()
        yield made


def call(usersd: Program, method: str, path: str, token: str = "", **body: Any) -> httpx.Response:
    headers = bearer(token) if token else {}
    return httpx.request(
        method, usersd.url + path, json=body or None, headers=headers, trust_env=False, timeout=20
    )


def registered(usersd: Program, name: str) -> str:
    account: dict[str, Any] = {
        "credentials": {"username": name, "secret": SECRET},
        "email": f"{name}@example.com",
    }
    answer = call(usersd, "POST", "/users", first_name=name, last_name="L", **account)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def logged_in(usersd: Program, identity: str, secret: str = SECRET) -> httpx.Response:
    return call(usersd, "POST", "/users/tokens/issue", identity=identity, secret=secret)


def one(usersd: Program, query: str) -> Any:
    with psycopg.connect(usersd.postgres, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def told(usersd: Program) -> list[tuple[int, str]]:
    """Position and event id of every message of the stream, in its order."""
    broker = Broker.__new__(Broker)
    broker.url = usersd.nats
    return [(message.position, message.event["id"]) for message in asyncio.run(broker.messages())]


def relayed(usersd: Program) -> None:
    at_last(
        lambda: one(usersd, "SELECT position = (SELECT max(position) FROM events) FROM relays"), within=30
    )


def lost_since_a_backup(usersd: Program) -> str:
    """A user erased and others registered after a backup that is then restored; the erased one's id."""
    erased = registered(usersd, "quetzal")
    backup = usersd.home / "backup.dump"
    backup.write_bytes(dump(usersd, "-Fc"))
    for number in range(3):
        registered(usersd, f"later{number}")
    assert usersd.cli("users", "erase", erased, "--yes").code == 0
    certified(usersd, erased)
    relayed(usersd)
    usersd.terminate()
    assert usersd.wait() == 0
    restored(usersd, backup)
    return erased


def certified(usersd: Program, user_id: str) -> None:
    at_last(lambda: usersd.cli("users", "certificate", user_id).code == 0, within=60)


def is_refused(usersd: Program) -> None:
    usersd.start(wait=False)
    assert usersd.wait() == 65
    for words in ("older than what was made from it", "What it means", "usersd restore accept"):
        assert words in usersd.output()
    shown = usersd.cli("restore", "show", "--json")
    assert shown.code == 65, shown
    assert shown.rows[0]["messages"] >= 3


def test_a_restored_backup_is_refused_and_accepted_and_whoever_was_erased_since_stays_erased(
    usersd: Program,
) -> None:
    erased = lost_since_a_backup(usersd)
    is_refused(usersd)
    accepted = usersd.cli("restore", "accept", "--yes", "--reason", "drill", "--json")
    assert accepted.code == 0, accepted

    usersd.start()
    # Before the address was told the ledger had been heeded: nobody was answered sooner.
    assert logged_in(usersd, "quetzal@example.com").status_code == 401
    admin = logged_in(usersd, ADMIN["identity"], ADMIN["secret"]).json()["access_token"]
    assert call(usersd, "GET", f"/users/{erased}", admin).status_code == 404
    assert "they are erased again" in usersd.output()
    assert b"quetzal" not in dump(usersd).lower()

    assert registered(usersd, "later0"), "a name that only the lost log had is free"
    relayed(usersd)
    stream = told(usersd)
    assert [position for position, _ in stream] == sorted({position for position, _ in stream})
    rows = usersd.cli("events", "tail", "--from", "0", "--json").rows
    known = {event["position"]: event["event_id"] for event in rows}
    assert all(known[position] == event_id for position, event_id in stream), "of no event that is lost"
    certified(usersd, erased)
    verified = usersd.cli("events", "verify", "--json")
    assert (verified.code, verified.rows[0]["findings"]) == (0, []), verified
