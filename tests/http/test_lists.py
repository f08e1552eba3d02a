"""Lists and histories: paging, order, filters, totals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.values import name_key
from tests.http.answers import accepted, refused
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client

PEOPLE = [
    # first name, last name, email, username
    ("Ada", "Lovelace", "ada@example.com", "ada"),
    ("Émile", "Zola", "emile@example.com", "Emile_Z"),
    ("ÅSA", "Öberg", "asa@example.org", "asa-o"),
    ("Ｗｉｄｅ", "Percent%Sign", "per%cent@example.org", "emileXz"),
    ("Straße", "Under_Score", "under_score@example.org", "underXscore"),
    ("李", "小龙", "李@example.cn", "bruce"),
    ("Back\\slash", "O'Neil", "oneil@example.org", "oneil"),
]


class Town(Client):
    """A client of a service with known people on it."""

    admin: dict[str, str]

    async def page(self, **query: Any) -> dict[str, Any]:
        answer = await self.http.get("/users", params=query, headers=self.admin)
        page: dict[str, Any] = accepted(answer)
        return page

    async def usernames(self, **query: Any) -> list[str]:
        return [user["credentials"]["username"] for user in (await self.page(**query))["users"]]


@pytest.fixture(scope="module")
async def town(shared_database: str) -> AsyncIterator[Town]:
    """Seven people and the first admin, whose username is admin; bruce is disabled, ada an admin too."""
    async with checked_service(shared_database) as client:
        found = Town(client.service, client.http)
        found.admin = await client.as_admin()
        for first, last, email, username in PEOPLE:
            user = await client.register(
                first_name=first,
                last_name=last,
                email=email,
                credentials={"username": username, "secret": SECRET},
            )
            path = f"/users/{user['id']}"
            if username == "bruce":
                await client.http.post(f"{path}/disable", headers=found.admin)
            if username == "ada":
                await client.http.patch(f"{path}/role", json={"role": "admin"}, headers=found.admin)
        yield found


async def test_pages_follow_each_other_and_each_tells_the_total(town: Town) -> None:
    whole = await town.page(limit=100, status="all")
    assert whole["total"] == len(whole["users"]) == 8
    pages = [await town.page(limit=3, offset=offset, status="all") for offset in (0, 3, 6, 9)]
    assert [len(page["users"]) for page in pages] == [3, 3, 2, 0]
    assert [user for page in pages for user in page["users"]] == whole["users"]
    assert {(page["total"], page["limit"]) for page in pages} == {(8, 3)}
    assert [page["offset"] for page in pages] == [0, 3, 6, 9]
    assert (await town.page(offset=2**31 - 1))["users"] == []


async def test_a_list_shows_each_user_whole(town: Town) -> None:
    (listed,) = (await town.page(username="oneil"))["users"]
    assert listed == accepted(await town.http.get(f"/users/{listed['id']}", headers=town.admin))
    assert (listed["first_name"], listed["last_name"]) == ("Back\\slash", "O'Neil")


async def test_the_last_changed_come_first_unless_asked_otherwise(town: Town) -> None:
    default = await town.usernames(status="all")
    assert default == await town.usernames(status="all", order="updated_at", dir="desc")
    assert default[:2] == ["oneil", "bruce"]
    assert await town.usernames(status="all", dir="asc") == default[::-1]


async def test_orders_are_by_the_normalised_value_in_both_directions(town: Town) -> None:
    registered = ["admin", *(username for *_, username in PEOPLE)]
    by_creation = await town.usernames(status="all", order="created_at", dir="asc")
    assert by_creation == registered
    by_username = await town.usernames(status="all", order="username", dir="asc")
    assert by_username == sorted(registered, key=str.casefold)
    for order in ("email", "first_name", "last_name"):
        up = (await town.page(status="all", order=order, dir="asc"))["users"]
        assert up == sorted(up, key=lambda user: (name_key(user[order]), user["id"]))
        assert (await town.page(status="all", order=order, dir="desc"))["users"] == up[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"admin", "ada", "Emile_Z", "asa-o", "emileXz", "underXscore", "oneil"}),
        ({"status": "enabled"}, {"admin", "ada", "Emile_Z", "asa-o", "emileXz", "underXscore", "oneil"}),
        ({"status": "disabled"}, {"bruce"}),
        ({"status": "deleted"}, set()),
        ({"role": "admin"}, {"admin", "ada"}),
        ({"role": "user", "status": "disabled"}, {"bruce"}),
        ({"role": "admin", "status": "disabled"}, set()),
        ({"email": "EXAMPLE.ORG"}, {"asa-o", "emileXz", "underXscore", "oneil"}),
        ({"email": "%"}, set()),
        ({"email": "per%"}, {"emileXz"}),
        ({"email": "r%c"}, {"emileXz"}),
        ({"email": "r_s"}, {"underXscore"}),
        ({"email": "_"}, set()),
        ({"email": "a_"}, set()),
        ({"email": "ex"}, set()),
        ({"email": "ONE", "username": "ONEIL"}, {"oneil"}),
        ({"username": "emile_"}, {"Emile_Z"}),
        ({"username": "emile"}, {"Emile_Z", "emileXz"}),
        ({"first_name": "émile"}, {"Emile_Z"}),
        ({"first_name": "e\u0301MI"}, {"Emile_Z"}),
        ({"first_name": "åsa"}, {"asa-o"}),
        ({"first_name": "A\u030asa"}, {"asa-o"}),
        ({"first_name": "wide"}, {"emileXz"}),
        ({"first_name": "ＷＩＤＥ"}, {"emileXz"}),
        ({"first_name": "STRASSE"}, {"underXscore"}),
        ({"first_name": "\\"}, set()),
        ({"first_name": "\\s"}, set()),
        ({"first_name": "k\\s"}, {"oneil"}),
        ({"last_name": "t%s"}, {"emileXz"}),
        ({"last_name": "r_s"}, {"underXscore"}),
        ({"last_name": "O'N"}, {"oneil"}),
        ({"last_name": "öb"}, {"asa-o"}),
        ({"last_name": "小", "status": "all"}, {"bruce"}),
        ({"email": "李@", "status": "all"}, {"bruce"}),
        ({"email": "@EX", "status": "disabled"}, {"bruce"}),
        ({"identity": "ONEIL@example.org"}, {"oneil"}),
        ({"identity": "oneil@example"}, set()),
        ({"first_name": "李"}, set()),
        ({"first_name": "nobody"}, set()),
        ({"first_name": "ada", "last_name": "zola"}, set()),
        ({"first_name": "'; DROP TABLE users_v1; --"}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
async def test_a_filter_finds_whom_it_should_and_counts_them(
    town: Town, query: dict[str, str], expected: set[str]
) -> None:
    page = await town.page(**query, limit=100)
    assert {user["credentials"]["username"] for user in page["users"]} == expected
    assert page["total"] == len(page["users"]) == len(expected)
    assert (await town.page(**query, limit=1))["total"] == len(expected)


async def test_a_history_is_newest_first_in_pages_and_says_who_did_what(town: Town) -> None:
    user = await town.register(first_name="Past")
    headers, path = await town.as_user(user["email"]), f"/users/{user['id']}"
    await town.http.patch(path, json={"first_name": "Present"}, headers=headers | {"X-Request-ID": "mine"})
    await town.http.post(f"{path}/disable", headers=town.admin)
    last = await town.http.post(f"{path}/enable", headers=town.admin)
    reader = town.admin | {"Usersd-Position": last.headers["Usersd-Position"]}
    first = accepted(await town.http.get(f"{path}/history?limit=3", headers=reader))
    rest = accepted(await town.http.get(f"{path}/history?limit=3&offset=3", headers=reader))
    assert {key: first[key] for key in ("limit", "offset", "total")} == {"limit": 3, "offset": 0, "total": 4}
    entries = first["history"] + rest["history"]
    assert [entry["event"] for entry in entries] == ["enabled", "disabled", "profile_updated", "registered"]
    assert [entry["version"] for entry in entries] == [4, 3, 2, 1]
    assert entries[2]["data"] == {"first_name": "Present"}
    assert entries[2]["by"] == {"kind": "user", "id": user["id"]}
    assert entries[2]["request_id"] == "mine"
    assert entries[3]["by"] == {"kind": "anonymous"}
    assert entries[3]["data"]["email"] == user["email"]


async def test_a_history_is_for_its_owner_and_for_admins(town: Town) -> None:
    user, stranger = await town.register(), await town.register()
    path = f"/users/{user['id']}/history"
    own = accepted(await town.http.get(path, headers=await town.as_user(user["email"])))
    assert own == accepted(await town.http.get(path, headers=town.admin))
    assert own["total"] == 1
    refused(await town.http.get(path, headers=await town.as_user(stranger["email"])), 403, "forbidden")
