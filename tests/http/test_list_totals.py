"""The total of a list: exact wherever pages go by offset; by cursor cut where counting on would take long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from projections.users import counting, listing
from tests.http.answers import accepted
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client
from tests.support.walking import next_link

USERS = 24


class Town(Client):
    """A client of a service with the first admin and 24 users, one in four of them disabled."""

    admin: dict[str, str]

    async def page(self, query: str) -> Any:
        return accepted(await self.http.get(f"/users?{query}", headers=self.admin))


@pytest.fixture(scope="module")
async def town(shared_database: str) -> AsyncIterator[Town]:
    async with checked_service(shared_database) as client:
        town = Town(client.service, client.http)
        town.admin = await client.as_admin()
        for number in range(USERS):
            credentials = {"username": f"u{number}", "secret": SECRET}
            user = await client.register(
                first_name="Same", credentials=credentials, email=f"u{number}@example.com", tags=["all"]
            )
            if number % 4 == 0:
                await client.http.post(f"/users/{user['id']}/disable", headers=town.admin)
        yield town


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals that are cut as if there were many users."""
    monkeypatch.setattr(counting, "CAP", 8)
    monkeypatch.setattr(counting, "ENOUGH", 4)
    monkeypatch.setattr(counting, "FETCHED", 5)
    monkeypatch.setattr(listing, "MANY", 5)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", 19), ("status=disabled", 6), ("status=all", 25), ("role=admin", 1), ("status=all&role=user", 24),
        ("first_name=same", 18), ("tag=all&status=all", 24), ("username=u&order=email", 18),
        ("email=example", 19), ("created_from=2020-01-01T00:00:00Z&order=created_at", 19),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", ["limit=3", "limit=2&offset=1", "only_total=true", "cursor=&offset=1"])
async def test_without_a_cursor_the_total_is_exact_and_nothing_is_said_of_it(
    town: Town, query: str, total: int, more: str
) -> None:
    page = await town.page(f"{query}&{more}")
    assert page["total"] == total
    assert set(page) == {"limit", "offset", "total", "users"}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("query", "total", "relation"),
    [
        # By status and role alone it costs nothing to be exact.
        ("", 19, "eq"), ("status=all&role=user", 24, "eq"), ("role=admin", 1, "eq"),
        ("first_name=same", 8, "gte"), ("tag=all&status=all", 8, "gte"), ("email=example", 8, "gte"),
        ("username=u&order=email", 8, "gte"),
        ("created_from=2020-01-01T00:00:00Z&order=created_at", 8, "gte"),
        ("first_name=same&status=disabled&email=example", 6, "gte"),
        ("email=u1@", 1, "eq"), ("first_name=nobody", 0, "eq"), ("username=u7", 1, "eq"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", ["limit=1", "limit=1&order=email", "only_total=true"])
async def test_with_a_cursor_the_total_says_whether_it_is_exact(
    town: Town, query: str, total: int, relation: str, more: str
) -> None:
    page = await town.page(f"{query}&{more if 'order' not in query else more.partition('&order')[0]}&cursor=")
    assert page["total_relation"] == relation
    assert page["total"] <= total if relation == "gte" else page["total"] == total
    if relation == "gte":
        assert page["total"] >= 4


async def test_the_link_leads_to_pages_that_say_so_too(town: Town) -> None:
    first = await town.http.get("/users?limit=5", headers=town.admin)
    assert "total_relation" not in accepted(first)
    link = next_link(first)
    assert link
    second = await town.http.get(link, headers=town.admin)
    assert (accepted(second)["total"], accepted(second)["total_relation"]) == (19, "eq")


async def test_a_search_by_cursor_says_so_too(town: Town) -> None:
    found = accepted(await town.http.get("/users/search?first_name=same&cursor=", headers=town.admin))
    assert (found["total"], found["total_relation"]) == (18, "eq")
    plain = accepted(await town.http.get("/users/search?first_name=same", headers=town.admin))
    assert "total_relation" not in plain


async def test_a_write_is_counted_in_the_next_total(town: Town) -> None:
    before = (await town.page("only_total=true"))["total"]
    user = await town.register()
    assert (await town.page("only_total=true"))["total"] == before + 1
    await town.http.post(f"/users/{user['id']}/disable", headers=town.admin)
    assert (await town.page("only_total=true"))["total"] == before
    assert (await town.page("only_total=true&status=all&role=user"))["total"] == USERS + 1
