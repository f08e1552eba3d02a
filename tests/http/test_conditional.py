"""ETag, If-Match, If-None-Match and Vary: strong validators on full representations, none on cards."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.answers import accepted, refused
from tests.http.conftest import Cast

CURRENT = '"1"'


def fully_marked(answer: httpx.Response, version: int) -> None:
    assert answer.headers["etag"] == f'"{version}"'
    assert answer.headers["vary"] == "Authorization"


async def somebody(cast: Cast) -> tuple[str, dict[str, str]]:
    """The path of somebody new, and their headers."""
    user = await cast.client.register()
    return f"/users/{user['id']}", await cast.client.as_user(user["email"])


async def test_every_full_representation_carries_a_strong_etag_and_says_what_it_varies_by(cast: Cast) -> None:
    http, admin = cast.client.http, cast.admin
    registered = await http.post("/users", json=cast.client.account())
    fully_marked(registered, 1)
    path = registered.headers["location"]
    owner = await cast.client.as_user(registered.json()["email"])
    fully_marked(await http.get(path, headers=owner), 1)
    fully_marked(await http.get(path, headers=admin), 1)
    fully_marked(await http.get("/users/profile", headers=owner), 1)
    fully_marked(await http.patch(path, json={"first_name": "A"}, headers=owner), 2)
    fully_marked(await http.post(f"{path}/disable", headers=admin), 3)
    fully_marked(await http.post(f"{path}/enable", headers=admin), 4)


async def test_a_card_carries_no_etag_and_varies_too(cast: Cast) -> None:
    answer = await cast.client.http.get(cast.path, headers=cast.other_headers)
    accepted(answer)
    assert "etag" not in answer.headers
    assert answer.headers["vary"] == "Authorization"


@pytest.mark.parametrize(
    "tags",
    ['"1"', 'W/"1"', "*", '"9", "1"', '"9","1"', ', "9" ,\tW/"1",', '"a,b", "1"', ' "1" '],
)
@pytest.mark.parametrize("profile", [True, False])
async def test_what_the_caller_has_already_is_not_sent_again(cast: Cast, tags: str, profile: bool) -> None:
    path, owner = await somebody(cast)
    where = "/users/profile" if profile else path
    answer = await cast.client.http.get(where, headers=owner | {"If-None-Match": tags})
    assert answer.status_code == 304
    assert answer.content == b""
    fully_marked(answer, 1)
    assert not {"content-type", "content-length"} & answer.headers.keys()


@pytest.mark.parametrize(
    "tags", ['"2"', '"9", W/"0"', '"01"', '"\xb9"', "1", '"1', 'w/"1"', '"1" "1"', "", ",", '""']
)
async def test_what_the_caller_lacks_is_sent(cast: Cast, tags: str) -> None:
    path, owner = await somebody(cast)
    headers = {
        name.encode(): value.encode("latin-1") for name, value in (owner | {"If-None-Match": tags}).items()
    }
    answer = await cast.client.http.get(path, headers=headers)
    assert accepted(answer)["id"] in path
    fully_marked(answer, 1)


async def test_after_a_change_the_old_version_is_sent_no_more(cast: Cast) -> None:
    path, owner = await somebody(cast)
    has = owner | {"If-None-Match": CURRENT}
    assert (await cast.client.http.get(path, headers=has)).status_code == 304
    accepted(await cast.client.http.patch(f"{path}/tags", json={"tags": ["x"]}, headers=owner))
    answer = await cast.client.http.get(path, headers=has)
    assert accepted(answer)["tags"] == ["x"]
    fully_marked(answer, 2)


async def test_two_lines_of_if_none_match_are_one_list(cast: Cast) -> None:
    path, owner = await somebody(cast)
    headers = [*owner.items(), ("If-None-Match", '"8"'), ("If-None-Match", CURRENT)]
    assert (await cast.client.http.get(path, headers=headers)).status_code == 304


async def test_a_stranger_cannot_find_out_the_version_of_a_user(cast: Cast) -> None:
    versions = ", ".join(f'"{number}"' for number in range(50))
    answer = await cast.client.http.get(cast.path, headers=cast.other_headers | {"If-None-Match": versions})
    accepted(answer)
    assert "etag" not in answer.headers


async def test_a_star_is_true_of_a_card_too(cast: Cast) -> None:
    answer = await cast.client.http.get(cast.path, headers=cast.other_headers | {"If-None-Match": "*"})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "etag" not in answer.headers


async def test_a_condition_hides_no_refusal(cast: Cast) -> None:
    http, star = cast.client.http, {"If-None-Match": "*"}
    refused(await http.get(cast.path, headers=star), 401, "unauthenticated")
    nobody = "/users/00000000-0000-4000-8000-000000000000"
    refused(await http.get(nobody, headers=cast.admin | star), 404, "not_found")


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', "*", '"7", "1"', '"a,b",W/"1"', ',"1",'])
async def test_a_change_is_made_where_if_match_names_the_version(cast: Cast, tags: str) -> None:
    path, owner = await somebody(cast)
    answer = await cast.client.http.patch(path, json={"first_name": "A"}, headers=owner | {"If-Match": tags})
    accepted(answer)
    fully_marked(answer, 2)


async def test_two_lines_of_if_match_are_one_list(cast: Cast) -> None:
    path, owner = await somebody(cast)
    headers = [*owner.items(), ("If-Match", '"8"'), ("If-Match", CURRENT)]
    accepted(await cast.client.http.patch(path, json={"first_name": "A"}, headers=headers))


@pytest.mark.parametrize("tags", ['"2"', 'W/"2", "3"', '"x"', '"01"', '""', f'"{"1" * 40}"'])
@pytest.mark.parametrize(
    ("method", "place", "body"),
    [
        ("PATCH", "", {"first_name": "B"}),
        ("PATCH", "/tags", {"tags": ["b"]}),
        ("PATCH", "/role", {"role": "admin"}),
        ("POST", "/disable", None),
    ],
)
async def test_a_change_is_refused_where_if_match_names_other_versions(
    cast: Cast, tags: str, method: str, place: str, body: Any
) -> None:
    path, _ = await somebody(cast)
    head = await cast.head()
    answer = await cast.client.http.request(
        method, path + place, json=body, headers=cast.admin | {"If-Match": tags}
    )
    refused(answer, 412, "stale_version")
    assert await cast.head() == head


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("tags", ["1", '"1', "'1'", '"1" "2"', '*, "1"', ",", 'w/"1"', 'W/ "1"'])
async def test_what_is_no_etag_is_refused(cast: Cast, tags: str) -> None:
    headers = cast.admin | {"If-Match": tags}
    refused(
        await cast.client.http.patch(cast.path, json={"first_name": "B"}, headers=headers),
        400,
        "invalid_request",
        "",
    )
