"""Each query parameter that the lists of the originals took, one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

from tests.contract.sdk import Sdk
from tests.support.databases import Databases
from tests.support.service import ADMIN, SECRET, running_service


class Town(NamedTuple):
    """Three users, an admin's client and a plain user's."""

    admin: Sdk
    own: Sdk
    ids: dict[str, str]

    def who(self, page: dict[str, Any]) -> set[str]:
        names = {user_id: name for name, user_id in self.ids.items()}
        return {names.get(user["id"], "somebody else") for user in page["users"]}


@pytest.fixture(scope="module")
def town_database(databases: Databases) -> Iterator[str]:
    with databases.fresh() as conninfo:
        yield conninfo


def account(name: str, **more: Any) -> dict[str, Any]:
    return {
        "first_name": name.title(), "last_name": f"{name}son", "email": f"{name}@example.com",
        "credentials": {"username": name, "secret": SECRET},
    } | more  # fmt: skip


@pytest.fixture(scope="module")
async def town(town_database: str) -> AsyncIterator[Town]:
    async with running_service(town_database) as client:
        sdk = Sdk(client.http)
        accounts = {
            "alice": account("alice", tags=["t1", "t2"], metadata={"team": "a", "floor": {"number": 1}}),
            "bob": account("bob", tags=["t1"], metadata={"team": "b"}),
            "carol": {
                "name": "Carol Ann", "tags": ["t-3"],
                "credentials": {"identity": "carol@example.com", "secret": SECRET},
            },
        }  # fmt: skip
        ids = {name: (await sdk("POST", "/users", 201, body))["id"] for name, body in accounts.items()}
        admin = (await sdk("POST", "/users/tokens/issue", 201, ADMIN))["access_token"]
        login = {"identity": "bob@example.com", "secret": SECRET}
        own = (await sdk("POST", "/users/tokens/issue", 201, login))["access_token"]
        yield Town(sdk.with_token(admin), sdk.with_token(own), ids)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("username=ALI", {"alice"}),
        ("email=bob@", {"bob"}),
        ("first_name=lic", {"alice"}),
        ("last_name=bobs", {"bob"}),
        ("name=Carol+Ann", {"carol"}),
        ("name=Carol", set()),
        ("identity=carol@example.com", {"carol"}),
        ("identity=carol", set()),
        ("tag=t1", {"alice", "bob"}),
        ("tags=t1", {"alice", "bob"}),
        ("tags=t1%2Bt2", {"alice"}),
        ("tags=t2,t-3", {"alice", "carol"}),
        ("tags=t1-t2", set()),
        ("tags=t1+t2", set()),
        ("metadata=%7B%22team%22:%22a%22%7D", {"alice"}),
        ("metadata=%7B%22floor%22:%7B%22number%22:1%7D,%22team%22:%22a%22%7D", {"alice"}),
        ("metadata=null", {"alice", "bob", "carol", "somebody else"}),
        ("metadata=", {"alice", "bob", "carol", "somebody else"}),
        ("tags=t2%2B", {"alice"}),
        ("tags=,t-3,", {"carol"}),
        ("tags=,", {"alice", "bob", "carol", "somebody else"}),
        ("role=admin", {"somebody else"}),
        ("role=user", {"alice", "bob", "carol"}),
        ("status=disabled", set()),
        ("status=deleted", set()),
        ("status=all", {"alice", "bob", "carol", "somebody else"}),
        ("limit=&offset=&order=&dir=&role=&username=", {"alice", "bob", "carol", "somebody else"}),
        ("status=", {"alice", "bob", "carol", "somebody else"}),
        ("created_from=2001-01-01T00:00:00Z&role=user", {"alice", "bob", "carol"}),
        ("created_to=2001-01-01T00:00:00Z", set()),
        ("limit=1&offset=3&order=created_at&dir=asc", {"carol"}),
        ("username=%25", set()),
        ("username=_", set()),
        ("owner_id=x&visibility=all&owner=x&total=7&role=user", {"alice", "bob", "carol"}),
    ],
)
async def test_a_parameter_of_a_list_means_what_it_meant(town: Town, query: str, expected: set[str]) -> None:
    page = await town.admin("GET", f"/users?{query}", 200)
    assert town.who(page) == expected


async def test_an_id_is_a_filter(town: Town) -> None:
    assert town.who(await town.admin("GET", f"/users?id={town.ids['bob']}", 200)) == {"bob"}


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
async def test_only_the_total_is_counted_where_that_is_asked(town: Town, text: str) -> None:
    page = await town.admin("GET", f"/users?only_total={text}&role=user", 200)
    assert (page["users"], page["total"]) == ([], 3)


async def test_pages_are_limited_and_tell_the_total(town: Town) -> None:
    page = await town.admin("GET", "/users?limit=2&offset=1", 200)
    assert (page["limit"], page["offset"], page["total"], len(page["users"])) == (2, 1, 4, 2)


@pytest.mark.parametrize(
    ("order", "first"), [("created_at", "carol"), ("username", "bob"), ("email", "carol")]
)
async def test_an_order_and_its_direction_are_heard(town: Town, order: str, first: str) -> None:
    query = f"/users?role=user&order={order}&dir="
    down = (await town.admin("GET", query + "desc", 200))["users"]
    up = (await town.admin("GET", query + "asc", 200))["users"]
    assert [user["id"] for user in up] == [user["id"] for user in reversed(down)]
    assert down[0]["id"] == town.ids[first]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=-1", "limit=x", "offset=-1", "offset=x", "order=name", "order=status",
        "dir=up", "status=unknown", "role=all", "metadata=1", "metadata=x", "created_from=yesterday",
        "only_total=yes", "username=a&username=b", "status=all&status=all", "cursor=forged",
    ],
)  # fmt: skip
async def test_what_a_parameter_cannot_mean_is_refused_and_pointed_at(town: Town, query: str) -> None:
    refusal = await town.admin.refusal("GET", f"/users?{query}")
    assert (refusal["status"], refusal["errors"][0]["pointer"]) == (400, f"/{query.partition('=')[0]}")


async def test_a_cursor_leads_through_all_pages(town: Town) -> None:
    seen: list[str] = []
    target = "/users?limit=1&order=created_at&dir=asc"
    while target:
        answer = await town.admin.answer("GET", target)
        seen += [user["id"] for user in answer.json()["users"]]
        target = answer.links.get("next", {}).get("url", "")
    assert len(seen) == 4
    assert seen[1:] == list(town.ids.values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("username=alice", {"alice"}),
        ("first_name=b", {"bob"}),
        ("last_name=alices", {"alice"}),
        ("username=alice&limit=1000000", {"alice"}),
        ("username=admin", set()),
        ("username=%25%25%25", set()),
    ],
)
async def test_a_search_finds_whom_it_found(town: Town, query: str, expected: set[str]) -> None:
    page = await town.own("GET", f"/users/search?{query}", 200)
    assert town.who(page) == expected
    assert page["limit"] <= 100
    assert all("email" not in user and "tags" not in user for user in page["users"])


@pytest.mark.parametrize(
    "query", ["", "email=bob", "username=bo", "id=1", "limit=x", "username=a&username=b"]
)
async def test_a_search_that_asks_too_little_is_refused(town: Town, query: str) -> None:
    assert (await town.own.refusal("GET", f"/users/search?{query}"))["status"] == 400
