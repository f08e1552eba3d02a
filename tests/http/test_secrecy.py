"""What was sent is never echoed in a refusal, and a secret appears nowhere at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.http.answers import accepted, send_raw
from tests.http.conftest import Cast
from tests.support.service import Client, bearer

CANARY = "canary-5ecret-Zq9"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything the service has logged, to be read at the end; the client's own lines are not its."""
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    yield lines
    formatter = logging.Formatter()
    for record in caplog.get_records("call"):
        if not record.name.startswith(("httpx", "httpcore")):
            lines.append(f"{formatter.format(record)} {record.__dict__}")
    assert lines, "the service logs something at DEBUG"
    assert not [line for line in lines if CANARY in line]


def _bodies(cast: Cast) -> list[dict[str, Any]]:
    """Registrations that are refused, each with the canary in another place."""
    account = cast.client.account
    return [
        account(role=CANARY),
        account(status=CANARY),
        account(first_name=CANARY + "\x00"),
        account(email=f"{CANARY} x"),
        account(tags=[CANARY + "\x00", {CANARY: 1}]),
        account(metadata={"a": CANARY + "\x00"}),
        account(metadata=CANARY),
        account(profile_picture=CANARY + " "),
        account(credentials=CANARY),
        account(credentials={"username": CANARY + "!", "secret": CANARY * 5}),
        account(credentials={"identity": CANARY, "secret": [CANARY]}),
        account(email=cast.user["email"], first_name=CANARY, credentials={"username": "x", "secret": CANARY}),
    ]


async def test_no_value_that_was_sent_comes_back_in_a_refusal(cast: Cast, logged: list[str]) -> None:
    http = cast.client.http
    answers = [await http.post("/users", json=body) for body in _bodies(cast)]
    answers += [
        await http.post("/users", content=f'{{"{CANARY}'.encode(), headers=JSON),
        await http.post("/users", content=CANARY.encode(), headers={"Content-Type": CANARY}),
        await http.post("/users/tokens/issue", json={"username": CANARY, "password": CANARY}),
        await http.post("/users/tokens/issue", json={"username": cast.user["email"], "secret": CANARY}),
        await http.patch(f"{cast.path}/role", json={"role": CANARY}, headers=cast.admin),
        await http.patch(cast.path, json={}, headers=cast.admin | {"If-Match": CANARY}),
        await http.patch(
            "/users/secret",
            json={"old_secret": CANARY, "new_secret": CANARY + "1"},
            headers=cast.user_headers,
        ),
        await http.get("/users/profile", headers=bearer(CANARY)),
        await http.get("/users/profile", headers={"Authorization": CANARY}),
        await http.post("/users/tokens/refresh", headers=bearer(CANARY)),
        await http.get(f"/users?order={CANARY}&dir={CANARY}&limit={CANARY}", headers=cast.admin),
        await http.get(f"/users?email={CANARY}&email={CANARY}", headers=cast.admin),
        await send_raw(cast.client, f"/users?{CANARY}=%ff".encode(), headers=cast.admin),
        await http.get(f"/users/{CANARY}", headers=cast.admin),
        await http.get(f"/{CANARY}"),
        await http.request(CANARY, "/users"),
        await http.get("/nowhere", headers={"X-Request-ID": CANARY + "!", "traceparent": CANARY}),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.text
        _assert_unseen(answer)


async def test_a_secret_appears_in_no_answer_no_log_line_and_no_row(
    client: Client, database: str, logged: list[str]
) -> None:
    http = client.http
    account = client.account(credentials={"username": "keeper", "secret": CANARY})
    login = {"username": "keeper", "password": CANARY, "description": "laptop"}
    answers = [await http.post("/users", json=account), await http.post("/users/tokens/issue", json=login)]
    tokens = answers[-1].json()
    answers.append(await http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"])))
    headers = bearer(answers[-1].json()["access_token"])
    change = {"old_secret": CANARY, "new_secret": CANARY + "-2"}
    answers.append(await http.patch("/users/secret", json=change, headers=headers))
    headers = await client.as_user("keeper", CANARY + "-2")
    answers += [
        await http.get("/users/profile", headers=headers),
        await http.get(f"/users/{answers[0].json()['id']}/history", headers=headers),
        await http.get("/users", headers=await client.as_admin()),
    ]
    for answer in answers:
        assert answer.status_code < 300
        _assert_unseen(answer)
    columns = list(_columns(database))
    assert any("keeper" in column for column in columns), "the rows were looked at"
    assert not [column for column in columns if CANARY in column]
    for token in tokens.values():
        assert token == "Bearer" or not [column for column in columns if token in column]


async def test_hashes_stay_in_their_table_and_private_metadata_is_for_its_owner(
    client: Client, database: str, logged: list[str]
) -> None:
    user = await client.register(private_metadata={"key": CANARY}, metadata={"seen": "by all"})
    stranger = await client.register()
    card = await client.http.get(f"/users/{user['id']}", headers=await client.as_user(stranger["email"]))
    assert accepted(card)["metadata"] == {"seen": "by all"}
    _assert_unseen(card)
    own = await client.http.get("/users/profile", headers=await client.as_user(user["email"]))
    assert own.json()["private_metadata"] == {"key": CANARY}
    with psycopg.connect(database) as connection:
        states = [bytes(row[0]) for row in connection.execute("SELECT state FROM events")]
    assert states
    for state in states:
        assert CANARY.encode() not in state
        assert b"$2b$" not in state
        for personal in (user["email"], user["credentials"]["username"], "Lovelace", "by all"):
            assert personal.encode() not in state


def _assert_unseen(answer: httpx.Response) -> None:
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)


def _columns(conninfo: str) -> Iterator[str]:
    """Every column of every row of every table, as text."""
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            for row in connection.execute(SQL("SELECT * FROM {}").format(Identifier(table))):
                for value in row:
                    yield value.decode("latin-1") if isinstance(value, bytes) else str(value)
