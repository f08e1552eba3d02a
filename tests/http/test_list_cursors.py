"""Pages by cursor: where the links lead, what a cursor is bound to, and walks while others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest

from infrastructure.event_store.keyring import open_keyring
from infrastructure.standing import open_keys
from projections.catalogue import by_name
from projections.rebuild import rebuild
from tests.http.answers import accepted, refused
from tests.http.conftest import checked_service
from tests.support.databases import ROOT_KEY, standing
from tests.support.service import SECRET, Client
from tests.support.walking import next_link, walked

ORDERS = ("created_at", "updated_at", "first_name", "last_name", "username", "email")


class Town(Client):
    """A client of a service with the first admin and 24 users, whose names repeat."""

    admin: dict[str, str]

    async def first(self, query: str = "") -> Any:
        return await self.http.get(f"/users?{query}", headers=self.admin)

    async def cursor(self, query: str = "limit=5") -> str:
        link = next_link(await self.first(query))
        assert link
        return dict(parse_qsl(urlsplit(link).query))["cursor"]


async def _fill(client: Client) -> Town:
    town = Town(client.service, client.http)
    town.admin = await client.as_admin()
    for number in range(24):
        names = {"first_name": "ÅEIOU"[number % 5], "last_name": "Same"}
        credentials = {"username": f"u{number}", "secret": SECRET}
        await client.register(**names, credentials=credentials, email=f"u{number}@example.com")
    return town


@pytest.fixture(scope="module")
async def town(shared_database: str) -> AsyncIterator[Town]:
    async with checked_service(shared_database) as client:
        yield await _fill(client)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_the_links_lead_through_the_whole_list(town: Town, order: str, direction: str) -> None:
    question = {"order": order, "dir": direction, "status": "all"}
    whole = accepted(await town.first(f"order={order}&dir={direction}&status=all&limit=100"))["users"]
    for limit in (1, 7, 24, 25):
        pages = await walked(town.http, f"/users?limit={limit}", question, town.admin)
        assert [user for page in pages for user in page["users"]] == whole
        assert {page["total"] for page in pages} == {25}


async def test_a_link_keeps_what_was_asked_for_and_says_where_to_go_on(town: Town) -> None:
    query = "status=all&limit=3&offset=4&first_name=%C3%85&unknown=a%26b&tags=&metadata=%7B%7D"
    answer = await town.first(query)
    link = next_link(answer)
    assert link is None or "offset" not in link
    answer = await town.first(
        "status=all&limit=3&offset=4&last_name=%53ame&unknown=a%26b&tags=&metadata=%7B%7D"
    )
    link = next_link(answer)
    assert link
    assert link.startswith("/users?")
    asked = parse_qsl(urlsplit(link).query, keep_blank_values=True)
    assert asked[:-1] == [
        ("status", "all"), ("limit", "3"), ("last_name", "Same"), ("unknown", "a&b"), ("tags", ""),
        ("metadata", "{}"),
    ]  # fmt: skip
    name, cursor = asked[-1]
    assert name == "cursor"
    assert cursor.replace("-", "").replace("_", "").isalnum()
    followed = accepted(await town.http.get(link, headers=town.admin))["users"]
    assert followed == accepted(await town.first("status=all&limit=3&offset=7&last_name=Same"))["users"]


async def test_the_last_page_has_no_link(town: Town) -> None:
    for query in (
        "limit=25",
        "limit=100",
        "limit=5&offset=20",
        "offset=1000",
        "email=nobody",
        "only_total=1",
    ):
        assert next_link(await town.first(query)) is None
    assert next_link(await town.first("limit=24"))
    assert next_link(await town.first("limit=4&offset=20"))


async def test_a_cursor_is_good_with_another_limit_and_with_an_offset_of_zero(town: Town) -> None:
    cursor = await town.cursor()
    wanted = accepted(await town.first("limit=9&offset=5"))["users"]
    assert accepted(await town.first(f"limit=9&offset=0&cursor={cursor}"))["users"] == wanted
    assert accepted(await town.first(f"limit=9&cursor={cursor}"))["users"] == wanted


@pytest.mark.parametrize(
    "other",
    ["status=all", "dir=asc", "order=email", "email=example", "metadata={\"a\":1}", "tag=x", "role=user",
     "created_from=2020-01-01T00:00:00Z"],
)  # fmt: skip
async def test_a_cursor_is_of_one_list_and_of_no_other(town: Town, other: str) -> None:
    cursor = await town.cursor()
    refused(await town.first(f"{other}&cursor={cursor}"), 400, "invalid_request", "/cursor")


async def test_a_cursor_of_the_list_is_none_of_the_search(town: Town) -> None:
    cursor = await town.cursor("limit=5&role=user&last_name=same")
    path = f"/users/search?last_name=same&cursor={cursor}"
    refused(await town.http.get(path, headers=town.admin), 400, "invalid_request", "/cursor")


async def test_a_cursor_that_was_never_given_is_refused(town: Town) -> None:
    cursor = await town.cursor()
    middle = len(cursor) // 2
    changed = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
    for forged in (changed, cursor[:-4], cursor[:10], "x", "abc%20def", "%C3%A9", "====", "a" * 5000, "a+b/"):
        refused(await town.first(f"cursor={forged}"), 400, "invalid_request", "/cursor")


async def test_a_cursor_tells_nothing_and_no_two_are_alike(town: Town) -> None:
    first, second = await town.cursor(), await town.cursor()
    assert first != second
    assert "@" not in first


async def test_a_cursor_outlives_a_rebuild_and_a_restart(database: str) -> None:
    async with checked_service(database) as client:
        town = await _fill(client)
        cursor = await town.cursor("order=email&limit=5")
        wanted = accepted(await town.first("order=email&limit=100&offset=5"))["users"]
    keys = await asyncio.to_thread(open_keys, standing(database))
    users = by_name("users")
    assert users
    await rebuild(users, keys.reader, database)
    async with checked_service(database) as client:
        answer = await client.http.get(
            f"/users?order=email&limit=100&cursor={cursor}", headers=await client.as_admin()
        )
        assert accepted(answer)["users"] == wanted


async def test_a_walk_neither_skips_nor_repeats_whoever_stays_as_they_are(client: Client) -> None:
    town = await _fill(client)
    users = accepted(await town.first("limit=100"))["users"]
    busy = [user["id"] for user in users if user["credentials"].get("username", "").endswith(("1", "7"))]
    quiet = {user["id"] for user in users} - set(busy)
    stop = asyncio.Event()

    async def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            body = {"first_name": "ÅBCXYZ"[turn % 6] * (turn % 3 + 1)}
            await town.http.patch(f"/users/{busy[turn % len(busy)]}", json=body, headers=town.admin)
            if turn % 4 == 0 and turn < 60:
                await town.register(first_name="Mid")

    writing = asyncio.create_task(write())
    try:
        for order in ("first_name", "updated_at", "email", "created_at"):
            for direction in ("asc", "desc"):
                question = {"order": order, "dir": direction}
                pages = await walked(town.http, "/users?limit=2", question, town.admin)
                seen = [user["id"] for page in pages for user in page["users"] if user["id"] in quiet]
                assert sorted(seen) == sorted(quiet), question
    finally:
        stop.set()
        await writing


def test_a_keyring_of_an_older_version_gets_the_key_that_it_lacks(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        before = open_keyring(connection, ROOT_KEY)
        connection.execute("DELETE FROM keyring WHERE purpose = 'cursor'")
        after = open_keyring(connection, ROOT_KEY)
        again = open_keyring(connection, ROOT_KEY)
    assert before.refresh_key == after.refresh_key
    assert before.cursor_key != after.cursor_key == again.cursor_key
