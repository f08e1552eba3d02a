"""The feed of users: whole, at a position or beyond, for those who may, and for no longer than they may."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.ports import WalkedPage
from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.reads import directory
from interfaces.http import feed
from projections.users import walk
from tests.http.answers import accepted, refused
from tests.http.test_service_accounts import basic
from tests.support import truth
from tests.support.databases import ROOT_KEY
from tests.support.service import Client, running_service
from tests.support.waiting import eventually


def administration(client: Client) -> PostgresClientAdministration:
    return PostgresClientAdministration(client.service.pool.conninfo, lambda: datetime.now(UTC))


async def lines(client: Client, headers: dict[str, str] | None = None, after: str = "") -> list[Any]:
    """Every line of the feed."""
    query = {"after": after} if after else {}
    answer = await client.http.get("/users/feed", params=query, headers=headers or await client.as_admin())
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


async def expected(client: Client, position: int = 2**62) -> dict[str, Any]:
    """Version and document of every user by id, worked out from the log up to a position; nothing private."""
    whole = await truth.read_log(client.service.pool.conninfo, ROOT_KEY)
    log = [event for event in whole if event.position <= position]
    return {
        str(user_id): {"version": version, "user": without_private(document)}
        for user_id, (version, document) in truth.documents(log).items()
    }


def without_private(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "private_metadata"}


async def test_it_holds_every_user_as_the_log_has_them_in_the_order_of_their_ids_and_says_where_it_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "ROWS", 3)
    users = [await client.register(metadata={"site": number}) for number in range(7)]
    admin = await client.as_admin()
    for path, body in (("", {"first_name": "Ünal"}), ("/tags", {"tags": ["a", "b"]})):
        accepted(await client.http.patch(f"/users/{users[0]['id']}{path}", json=body, headers=admin))
    accepted(await client.http.post(f"/users/{users[1]['id']}/disable", headers=admin))
    head = await client.service.bus.ports.log.head()
    first, *rows, last = await lines(client)
    assert first == {"position": head}
    assert last == {"complete": True, "users": 8}
    assert [row["user"]["id"] for row in rows] == sorted(row["user"]["id"] for row in rows)
    assert {row["user"]["id"]: row for row in rows} == await expected(client)


async def test_what_is_private_or_secret_is_in_no_line(client: Client) -> None:
    private = {"private_metadata": {"canary": "private-canary"}, "metadata": {"private_metadata": "shown"}}
    user = await client.register(**private)
    _, *rows, _ = await lines(client)
    (row,) = [row for row in rows if row["user"]["id"] == user["id"]]
    assert row["user"]["metadata"] == {"private_metadata": "shown"}
    assert "canary" not in json.dumps(rows)
    assert "$2b$" not in json.dumps(rows)


async def test_it_is_for_admins_and_for_service_accounts_that_follow_the_feed(client: Client) -> None:
    user = await client.register()
    follower = basic(administration(client).add("mirror", ["follow_feed"]))
    assert len(await lines(client, follower)) == 4
    reader = basic(administration(client).add("reader", ["read_users"]))
    for headers in (reader, await client.as_user(user["email"])):
        refused(await client.http.get("/users/feed", headers=headers), 403, "admin_only")
    refused(await client.http.get("/users/feed"), 401, "unauthenticated")
    assert (await client.http.get("/users", headers=follower)).status_code == 403


async def test_a_feed_that_broke_off_goes_on_behind_the_last_user_that_came(client: Client) -> None:
    for _ in range(4):
        await client.register()
    _, *rows, _ = await lines(client)
    _, *rest, last = await lines(client, after=rows[2]["user"]["id"])
    assert rest == rows[3:]
    assert last == {"complete": True, "users": 2}
    answer = await client.http.get("/users/feed?after=nobody", headers=await client.as_admin())
    refused(answer, 400, "invalid_request", "/after")


def between_pages(monkeypatch: pytest.MonkeyPatch, happens: Callable[[int], Awaitable[None]]) -> None:
    """Pages of one user, and something that happens before each of them, by its number from 1 on."""
    numbers = itertools.count(1)
    walk_page = walk.walk_page

    async def something_first(connection: psycopg.AsyncConnection, after: UUID, position: int) -> WalkedPage:
        await happens(next(numbers))
        return await walk_page(connection, after, position)

    monkeypatch.setattr(walk, "ROWS", 1)
    monkeypatch.setattr(directory, "walk_page", something_first)


async def test_whatever_happens_between_its_pages_each_row_is_at_its_position_or_beyond(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [await client.register() for _ in range(5)]
    admin = await client.as_admin()

    async def somebody_writes(number: int) -> None:
        if number <= 20:
            path = f"/users/{users[number % len(users)]['id']}"
            accepted(await client.http.patch(path, json={"first_name": f"Eve {number}"}, headers=admin))
            await client.register()

    between_pages(monkeypatch, somebody_writes)
    first, *rows, last = await lines(client, admin)
    assert last == {"complete": True, "users": len(rows)}
    found = {row["user"]["id"]: row for row in rows}
    there, now = await expected(client, first["position"]), await expected(client)
    assert len(there) == 6
    for user_id, row in there.items():
        assert row["version"] <= found[user_id]["version"] <= now[user_id]["version"]
    assert any(row["version"] > 1 for row in rows)
    assert len(rows) > 6


async def test_users_whose_streams_are_parked_are_folded_from_the_log(client: Client) -> None:
    users = [await client.register() for _ in range(3)]
    unseen, stale, _ = users
    log = await expected(client)
    async with await psycopg.AsyncConnection.connect(
        client.service.pool.conninfo, autocommit=True
    ) as connection:
        # As a projection leaves what it cannot apply: one never seen, one that fell behind.
        await connection.execute("DELETE FROM users_v1_g1 WHERE id = %s", (unseen["id"],))
        await connection.execute("UPDATE users_v1_g1 SET version = 0 WHERE id = %s", (stale["id"],))
        for user in (unseen, stale):
            await connection.execute(
                "INSERT INTO parked_streams (projection, version, generation, user_id, position, event_name,"
                " reason) VALUES ('users', 1, 1, %s, 1, 'users.registered.v1', 'Gap')",
                (user["id"],),
            )
    _, *rows, last = await lines(client)
    assert {row["user"]["id"]: row for row in rows} == log
    assert [row["user"]["id"] for row in rows] == sorted(log)
    assert last["users"] == 4


async def test_a_table_that_a_rebuild_puts_away_in_the_middle_is_left_for_the_one_in_its_place(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "ROWS", 2)
    for _ in range(5):
        await client.register()
    wanted = await expected(client)
    found = client.service.bus.ports.directory.walk(None, await client.service.bus.ports.log.head())
    rows = [*(await anext(found)).users]
    async with await psycopg.AsyncConnection.connect(
        client.service.pool.conninfo, autocommit=True
    ) as connection:
        await connection.execute("CREATE TABLE users_v1_g2 (LIKE users_v1_g1)")
        await connection.execute("INSERT INTO users_v1_g2 SELECT * FROM users_v1")
        await connection.execute("CREATE OR REPLACE VIEW users_v1 AS SELECT * FROM users_v1_g2")
        await connection.execute("DROP TABLE users_v1_g1")
        await connection.execute("UPDATE projections SET generation = 2 WHERE name = 'users'")
    rows += [user async for page in found for user in page.users]
    assert {str(user.id): user.version for user in rows} == {
        user_id: row["version"] for user_id, row in wanted.items()
    }


async def test_while_the_read_model_is_behind_it_does_not_begin(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.queries.view_feed.VISIBLE_WITHIN", 0.1)
    async with running_service(database, project=False) as client:
        answer = await client.http.get("/users/feed", headers=await client.as_admin())
        refused(answer, 503, "unavailable")


async def test_it_ends_when_its_caller_loses_the_right_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = administration(client).add("mirror", ["follow_feed"])
    for _ in range(4):
        await client.register()

    async def is_refused() -> bool:
        ports = client.service.bus.ports
        return await ports.clients.authenticate(account.id, account.secret, ports.clock.now()) is None

    async def revoked(number: int) -> None:
        if number == 3:
            administration(client).revoke(account.id)
            await eventually(is_refused)

    monkeypatch.setattr(feed, "ASKED_AGAIN", 0.0)
    between_pages(monkeypatch, revoked)
    _, *rows, last = await lines(client, basic(account))
    assert len(rows) == 2
    assert (last["complete"], last["code"]) == (False, "unauthenticated")


async def test_only_so_many_are_written_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await client.as_admin()
    await client.register()
    begun, go_on = 0, asyncio.Event()

    async def held(_: int) -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    monkeypatch.setattr(feed, "MOST", 2)
    with monkeypatch.context() as slow:
        between_pages(slow, held)
        reading = [asyncio.create_task(lines(client, headers)) for _ in range(2)]

        async def both() -> bool:
            return begun == 2

        await eventually(both)
        refused(await client.http.get("/users/feed", headers=headers), 503, "unavailable")
        go_on.set()
        for task in reading:
            assert (await task)[-1]["complete"]
    assert (await lines(client, headers))[-1]["complete"]
