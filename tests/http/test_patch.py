"""PATCH: what is absent or null stays, what is empty clears, what changes nothing is no event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.answers import accepted
from tests.http.conftest import Cast

FULL = {
    "tags": ["a", "b"],
    "metadata": {"a": {"b": [1, None]}},
    "private_metadata": {"c": True},
    "profile_picture": "https://example.com/a.png",
}

STAYS: list[tuple[str, Any]] = [
    ("", {}),
    ("", {"first_name": None, "last_name": None, "name": None, "metadata": None, "private_metadata": None}),
    ("", {"first_name": "", "last_name": "", "name": ""}),
    ("", {"first_name": "Ada", "last_name": "Lovelace"}),
    ("", {"metadata": {"a": {"b": [1, None]}}, "private_metadata": {"c": True}}),
    ("", {"tags": [], "email": "x@example.com", "unknown": 1}),
    ("/tags", {}),
    ("/tags", {"tags": None}),
    ("/tags", {"tags": ["a", "b"]}),
    ("/picture", {}),
    ("/picture", {"profile_picture": None}),
    ("/picture", {"profile_picture": "https://example.com/a.png"}),
    ("/role", {"role": "user"}),
]


async def full_user(cast: Cast) -> tuple[str, dict[str, Any]]:
    user = await cast.client.register(**FULL)
    return f"/users/{user['id']}", user


@pytest.mark.parametrize(("place", "body"), STAYS)
async def test_what_is_absent_null_or_the_same_leaves_everything_and_stores_no_event(
    cast: Cast, place: str, body: Any
) -> None:
    path, user = await full_user(cast)
    head = await cast.head()
    answer = await cast.client.http.patch(path + place, json=body, headers=cast.admin)
    assert accepted(answer) == user
    assert answer.headers["etag"] == '"1"'
    assert await cast.head() == head


async def test_the_same_email_and_username_are_no_event(cast: Cast) -> None:
    path, user = await full_user(cast)
    head = await cast.head()
    for place, body in (
        ("/email", {"email": user["email"]}),
        ("/identity", {"identity": user["email"]}),
        ("/username", {"username": user["credentials"]["username"]}),
    ):
        answer = await cast.client.http.patch(path + place, json=body, headers=cast.admin)
        assert accepted(answer) == user
        assert answer.headers["etag"] == '"1"'
    assert await cast.head() == head


@pytest.mark.parametrize(
    ("place", "body", "cleared"),
    [
        ("", {"metadata": {}}, {"metadata"}),
        ("", {"private_metadata": {}}, {"private_metadata"}),
        ("", {"metadata": {}, "private_metadata": {}}, {"metadata", "private_metadata"}),
        ("/tags", {"tags": []}, {"tags"}),
        ("/picture", {"profile_picture": ""}, {"profile_picture"}),
    ],
)
async def test_what_is_empty_clears_that_and_nothing_else(
    cast: Cast, place: str, body: Any, cleared: set[str]
) -> None:
    path, user = await full_user(cast)
    answer = await cast.client.http.patch(path + place, json=body, headers=cast.admin)
    shown = accepted(answer)
    assert answer.headers["etag"] == '"2"'
    touched = {"updated_at", "updated_by"}
    assert {k: v for k, v in shown.items() if k not in touched} == {
        k: v for k, v in user.items() if k not in touched | cleared
    }
    assert accepted(await cast.client.http.get(path, headers=cast.admin)) == shown


async def test_metadata_is_replaced_whole_and_not_merged(cast: Cast) -> None:
    path, _ = await full_user(cast)
    answer = await cast.client.http.patch(path, json={"metadata": {"z": 1}}, headers=cast.admin)
    assert accepted(answer)["metadata"] == {"z": 1}


async def test_one_and_true_are_two_values(cast: Cast) -> None:
    path, _ = await full_user(cast)
    answer = await cast.client.http.patch(path, json={"private_metadata": {"c": 1}}, headers=cast.admin)
    assert answer.headers["etag"] == '"2"'
    assert answer.json()["private_metadata"] == {"c": 1}
    assert answer.json()["private_metadata"]["c"] is not True
