"""What each parameter of a list means, and which values it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.answers import accepted, refused, send_raw
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client

PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"tags": ["red", "dark blue"], "metadata": {"plan": "gold", "site": {"id": 1, "at": ["x", "y"]}}},
    "bob": {"tags": ["red", "green", "a-b"], "metadata": {"plan": "basic", "on": True}},
    "cyd": {"tags": ["green", "Red"], "metadata": {"plan": "gold"}, "role": "admin"},
    "dan": {"status": "disabled", "tags": ["red"]},
}
EVERYBODY = {"admin", *PEOPLE, "eve@example.com"}


class Town(Client):
    """A client of a service with four people of the one dialect, Eve of the other, and the first admin."""

    admin: dict[str, str]
    people: dict[str, dict[str, Any]]

    async def answer(self, query: str) -> Any:
        return await self.http.get(f"/users?{query}", headers=self.admin)

    async def found(self, query: str) -> set[str]:
        page = accepted(await self.answer(f"limit=100&{query}"))
        assert page["total"] == len(page["users"])
        return {user["credentials"].get("username") or user["email"] for user in page["users"]}


@pytest.fixture(scope="module")
async def town(shared_database: str) -> AsyncIterator[Town]:
    async with checked_service(shared_database) as client:
        made = Town(client.service, client.http)
        made.admin = await client.as_admin()
        made.people = {}
        for username, more in PEOPLE.items():
            body = client.account(
                credentials={"username": username, "secret": SECRET}, email=f"{username}@example.com", **more
            )
            made.people[username] = accepted(
                await client.http.post("/users", json=body, headers=made.admin), 201
            )
        eve = {"name": "Eve ＥＶＥ", "credentials": {"identity": "eve@example.com", "secret": SECRET}}
        made.people["eve"] = accepted(await client.http.post("/users", json=eve), 201)
        yield made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=all", EVERYBODY),
        ("status=", EVERYBODY - {"dan"}),
        ("status=disabled", {"dan"}),
        ("role=admin", {"admin", "cyd"}),
        ("name=eve+eve", {"eve@example.com"}),
        ("name=Eve%20%EF%BC%A5VE", {"eve@example.com"}),
        ("name=eve", set()),
        ("name=", EVERYBODY - {"dan"}),
        ("identity=EVE@example.com", {"eve@example.com"}),
        ("identity=bob@example.com", {"bob"}),
        ("identity=bob@example", set()),
        ("tag=red", {"ada", "bob"}),
        ("tag=Red", {"cyd"}),
        ("tag=dark+blue", {"ada"}),
        ("tag=red,green", set()),
        ("tags=red", {"ada", "bob"}),
        ("tags=red,dark+blue", {"ada", "bob"}),
        ("tags=dark+blue,green", {"ada", "bob", "cyd"}),
        ("tags=red%2Bgreen", {"bob"}),
        ("tags=+red+%2B+green+", {"bob"}),
        ("tags=red+green", set()),
        ("tags=dark+blue", {"ada"}),
        ("tags=red,x%2Bgreen", set()),
        ("tags=a-b", {"bob"}),
        ("tags=red-green", set()),
        ("tags=red%2Bgreen&tag=a-b", {"bob"}),
        ("tags=red,&status=all", {"ada", "bob", "dan"}),
        ("tags=,", EVERYBODY - {"dan"}),
        ('metadata={"plan":"gold"}', {"ada", "cyd"}),
        ('metadata={"site":{"id":1}}', {"ada"}),
        ('metadata={"site":{"at":["y"]}}', {"ada"}),
        ('metadata={"on":true}', {"bob"}),
        ('metadata={"on":1}', set()),
        ("metadata={}", EVERYBODY - {"dan"}),
        ("metadata=null", EVERYBODY - {"dan"}),
        ("metadata=", EVERYBODY - {"dan"}),
        ("created_from=2020-01-01T00:00:00Z&status=all", EVERYBODY),
        ("created_to=2020-01-01T00:00:00Z&status=all", set()),
        ("created_from=&created_to=", EVERYBODY - {"dan"}),
        ("created_from=2020-01-01T00:00:00.123456789%2B05:30&created_to=2099-12-31T23:59:59-11:00",
         EVERYBODY - {"dan"}),
        ("id=zzz", set()),
        ("id=----", set()),
        ("username=ADA&first_name=ad", {"ada"}),
        ("total=5&with_metadata=x&owner_id=me&visibility=all&domain=d&list_perms=true", EVERYBODY - {"dan"}),
    ],
)  # fmt: skip
async def test_a_parameter_finds_whom_it_should(town: Town, query: str, expected: set[str]) -> None:
    assert await town.found(query) == expected


async def test_an_id_is_found_by_any_part_of_it(town: Town) -> None:
    user = town.people["bob"]
    for part in (user["id"], user["id"].upper(), user["id"][:2], user["id"][10:20], user["id"][-7:]):
        assert "bob" in await town.found(f"id={part}")
    assert await town.found(f"id={user['id']}") == {"bob"}
    assert await town.found(f"id={user['id']}0") == set()


async def test_the_bounds_of_creation_belong_to_the_range(town: Town) -> None:
    at = town.people["bob"]["created_at"]
    assert await town.found(f"created_from={at}&created_to={at}") == {"bob"}
    finer = at.replace("Z", "").ljust(26, "0") + "001Z" if "." in at else at
    assert "bob" not in await town.found(f"created_from={finer}")
    assert "bob" in await town.found(f"created_to={finer}")


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
async def test_only_the_total_is_told_where_that_is_asked_for(town: Town, text: str) -> None:
    page = accepted(await town.answer(f"only_total={text}&limit=2&status=all"))
    assert page == {"limit": 2, "offset": 0, "total": len(EVERYBODY), "users": []}
    for no in ("0", "f", "F", "FALSE", "false", "False"):
        assert len(accepted(await town.answer(f"only_total={no}&limit=2"))["users"]) == 2


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=1e1", "/limit"),
        ("limit=-1", "/limit"),
        ("offset=-1", "/offset"),
        ("offset=9223372036854775808", "/offset"),
        ("order=name", "/order"),
        ("order=Email", "/order"),
        ("dir=ASC", "/dir"),
        ("status=Enabled", "/status"),
        ("status=erased", "/status"),
        ("role=all", "/role"),
        ("only_total=yes", "/only_total"),
        ("metadata=[]", "/metadata"),
        ("metadata=1", "/metadata"),
        ("metadata={", "/metadata"),
        ('metadata={"a":99999999999999999999}', "/metadata"),
        ('metadata={"a":"\\u0000"}', "/metadata"),
        ("metadata=" + '{"a":' * 40 + "1" + "}" * 40, "/metadata"),
        ("metadata=" + '{"a":' * 1500 + "1" + "}" * 1500, "/metadata"),
        ("created_from=2026-01-01", "/created_from"),
        ("created_from=2026-01-01 00:00:00Z", "/created_from"),
        ("created_from=2026-01-01t00:00:00z", "/created_from"),
        ("created_from=2026-01-01T00:00:00", "/created_from"),
        ("created_from=2026-01-01T00:00:00+02:00", "/created_from"),
        ("created_to=2026-02-30T00:00:00Z", "/created_to"),
        ("created_to=2026-01-01T24:00:00Z", "/created_to"),
        ("created_to=2026-01-01T00:00:60Z", "/created_to"),
        ("created_to=0000-01-01T00:00:00Z", "/created_to"),
        ("created_to=0001-01-01T00:00:00%2B14:00", "/created_to"),
        ("created_to=٢٠٢٦-01-01T00:00:00Z", "/created_to"),
        ("username=" + "a" * 255, "/username"),
        ("email=a%00b", "/email"),
        ("tags=a%00b", "/tags"),
        ("cursor=x&offset=5", "/offset"),
    ],
)  # fmt: skip
async def test_a_value_that_is_none_is_refused_where_it_stands(town: Town, query: str, pointer: str) -> None:
    refused(await town.answer(query), 400, "invalid_request", pointer)


@pytest.mark.parametrize(
    "name",
    ["limit", "offset", "cursor", "order", "dir", "status", "role", "id", "email", "username", "first_name",
     "last_name", "name", "identity", "tag", "tags", "metadata", "created_from", "created_to", "only_total"],
)  # fmt: skip
async def test_a_parameter_that_is_repeated_is_refused(town: Town, name: str) -> None:
    refused(await town.answer(f"{name}=&{name}="), 400, "invalid_request", f"/{name}")


async def test_every_fault_of_a_query_is_told_at_once(town: Town) -> None:
    query = "limit=0&order=name&metadata=[]&created_from=x&created_to=y&role=all&cursor=a&offset=1"
    pointers = ("/limit", "/order", "/metadata", "/created_from", "/created_to", "/role", "/offset")
    refused(await town.answer(query), 400, "invalid_request", *pointers)


async def test_a_name_that_unfolds_into_much_is_listed_like_any_other(town: Town) -> None:
    # Each of these letters is eighteen in its compatibility form: more than an index takes.
    user = await town.register(first_name="ﷺ" * 254, last_name="㌖㌗㍇㍿" * 60)
    page = accepted(await send_raw(town, b"/users?first_name=%EF%B7%BA&order=first_name", headers=town.admin))
    assert [found["id"] for found in page["users"]] == [user["id"]]
