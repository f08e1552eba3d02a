"""The search that every signed-in user may make: whom it finds, what it shows, what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.answers import accepted, refused
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client
from tests.support.walking import next_link, walked

ZERO = "0001-01-01T00:00:00Z"


class Town(Client):
    """A client of a service with people on it; `caller` is a plain user who looks for them."""

    caller: dict[str, str]
    admin: dict[str, str]

    async def answer(self, query: str) -> Any:
        return await self.http.get(f"/users/search?{query}", headers=self.caller)

    async def found(self, query: str) -> list[str]:
        page = accepted(await self.answer(query))
        assert page["total"] == len(page["users"])
        return [user["credentials"]["username"] for user in page["users"]]


@pytest.fixture(scope="module")
async def town(shared_database: str) -> AsyncIterator[Town]:
    async with checked_service(shared_database) as client:
        made = Town(client.service, client.http)
        made.admin = await client.as_admin()
        people: dict[str, dict[str, Any]] = {
            "grace": {"first_name": "Grace", "last_name": "Höpper", "metadata": {"team": "navy"}},
            "gracious": {"first_name": "Gräce", "last_name": "100% Sure", "tags": ["x"]},
            "boss": {"first_name": "Grace", "role": "admin"},
            "gone": {"first_name": "Grace", "status": "disabled"},
            "me": {"first_name": "Ada", "last_name": "Lovelace"},
        }
        for username, more in people.items():
            credentials = {"username": username, "secret": SECRET}
            body = client.account(credentials=credentials, email=f"{username}@example.com", **more)
            accepted(await client.http.post("/users", json=body, headers=made.admin), 201)
        made.caller = await client.as_user("me@example.com")
        yield made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("username=GRAC", ["gracious", "grace"]),
        ("username=raci", ["gracious"]),
        ("username=boss", []),
        ("username=gone", []),
        ("username=gr%25", []),
        ("username=gr_ce", []),
        ("first_name=g", ["gracious", "grace"]),
        ("first_name=race", ["grace"]),
        ("first_name=gra%CC%88", ["gracious"]),
        ("last_name=h%C3%B6p", ["grace"]),
        ("last_name=0%25+s", ["gracious"]),
        ("last_name=%25", []),
        ("last_name=r", []),
        ("first_name=gr&last_name=100", ["gracious"]),
        ("username=grace&email=nobody", ["grace"]),
        ("username=grace&status=disabled&role=admin&tag=none&domain=x", ["grace"]),
        ("first_name=g&order=username&dir=asc", ["gracious", "grace"]),
        ("first_name=g&order=nonsense&dir=up", ["gracious", "grace"]),
        ("first_name=ad", ["me"]),
    ],
)
async def test_a_search_finds_enabled_users_and_no_admins(
    town: Town, query: str, expected: list[str]
) -> None:
    assert await town.found(query) == expected


async def test_a_user_is_found_by_a_part_of_the_id(town: Town) -> None:
    page = accepted(await town.answer("username=grace"))
    user_id = page["users"][0]["id"]
    for part in (user_id, user_id[:3], user_id[5:17].upper(), user_id[-12:]):
        assert "grace" in await town.found(f"id={part}")


async def test_a_search_shows_the_card_and_nothing_else_to_anybody(town: Town) -> None:
    for headers in (town.caller, town.admin):
        answer = await town.http.get("/users/search?username=grace", headers=headers)
        (card,) = accepted(answer)["users"]
        assert card == {
            "id": card["id"],
            "first_name": "Grace",
            "last_name": "Höpper",
            "metadata": {"team": "navy"},
            "status": "enabled",
            "role": "user",
            "credentials": {"username": "grace"},
            "created_at": ZERO,
            "updated_at": ZERO,
            "verified_at": ZERO,
        }
    stranger = accepted(await town.http.get(f"/users/{card['id']}", headers=town.caller))
    assert stranger == card


async def test_pages_of_a_search_follow_each_other_by_offset_and_by_cursor(town: Town) -> None:
    first = await town.answer("first_name=g&limit=1")
    assert accepted(first)["total"] == 2
    second = accepted(await town.answer("first_name=g&limit=1&offset=1"))
    link = next_link(first)
    assert link
    assert link.startswith("/users/search?first_name=g&limit=1&cursor=")
    followed = accepted(await town.http.get(link, headers=town.caller))
    assert followed["users"] == second["users"]
    pages = await walked(town.http, "/users/search?limit=1", {"first_name": "g"}, town.caller)
    assert len(pages) == 2
    refused(
        await town.answer("first_name=h&cursor=" + link.partition("cursor=")[2]),
        400,
        "invalid_request",
        "/cursor",
    )


async def test_a_limit_is_capped_and_may_be_nothing(town: Town) -> None:
    assert accepted(await town.answer("first_name=g&limit=1000000"))["limit"] == 100
    assert accepted(await town.answer("first_name=g&limit=0")) == {
        "limit": 0,
        "offset": 0,
        "total": 2,
        "users": [],
    }


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("", [""]),
        ("email=grace@example.com", [""]),
        ("username=&first_name=&last_name=&id=", [""]),
        ("username=gr", ["/username"]),
        ("id=ab", ["/id"]),
        ("username=g&id=a", ["/id", "/username"]),
        ("first_name=g&limit=-1", ["/limit"]),
        ("first_name=g&limit=x", ["/limit"]),
        ("first_name=g&offset=-1", ["/offset"]),
        ("first_name=g&first_name=h", ["/first_name"]),
        ("first_name=g&cursor=nonsense", ["/cursor"]),
        ("first_name=g&cursor=nonsense&offset=1", ["/offset"]),
        ("first_name=g&username=" + "a" * 255, ["/username"]),
    ],
)
async def test_a_search_for_nothing_or_with_a_wrong_value_is_refused(
    town: Town, query: str, pointers: list[str]
) -> None:
    messages = refused(await town.answer(query), 400, "invalid_request", *pointers)
    if query == "username=gr":
        assert messages == ["A search takes at least 3 characters here."]


async def test_the_gate_for_the_unverified_stands_before_the_search_too(database: str) -> None:
    async with checked_service(database, MG_ALLOW_UNVERIFIED_USER="false") as client:
        user = await client.register()
        headers = await client.as_user(user["email"])
        answer = await client.http.get("/users/search?username=ada", headers=headers)
        refused(answer, 401, "email_not_verified")
