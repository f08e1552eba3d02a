"""Whoever may log in there no more may not do so here, even where the rest of the row is not followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain import events
from tests.importing.original_both import Both
from tests.importing.original_crowd import Row, crowd, hash_of, original
from tests.support.databases import Databases

ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows() -> list[Row]:
    return [
        row
        | {"status": 0, "role": 0, "updated_at": ANCIENT, "username": f"user-{number}"}
        | {"secret": hash_of("changeMe123"), "tags": ["a"]}
        for number, row in enumerate(crowd(4))
    ]


@pytest.fixture
async def both(databases: Databases, database: str, rows: list[Row]) -> AsyncIterator[Both]:
    with original(databases, "magistrala_users", rows) as dsn:
        made = Both(dsn, database)
        await made.bring()
        await made.follow()
        yield made


def names(both_history: list[Any]) -> list[str]:
    return [one.name for one in both_history[1:]]


@pytest.mark.parametrize(
    "unkept",
    [{"email": "USER@EXAMPLE.COM"}, {"username": "a@b"}, {"metadata": "[1]"}],
    ids=["a name of another one", "a username that is none", "metadata that are none"],
)
async def test_whoever_waits_for_something_else_is_disabled_and_has_the_new_secret(
    both: Both, rows: list[Row], unkept: dict[str, Any]
) -> None:
    both.change(rows[1], email="user@example.com")
    await both.follow()
    both.change(rows[0], tags=["b"], **unkept)
    assert (await both.follow()).changed == 0
    both.change(rows[0], status=1, secret=hash_of("another one"))
    assert (await both.follow()).changed == 1
    assert names(await both.history(rows[0])) == ["users.disabled.v1", "users.secret_changed.v1"]
    assert both.hash(rows[0]) == hash_of("another one")
    (notice,) = both.notices
    assert notice.id == rows[0]["id"]
    assert notice.why.endswith("followed: status, role, secret.")
    # Not again; and once it fits, the rest comes.
    assert (await both.follow()).changed == 0
    both.change(rows[0], tags=["b"], email=rows[0]["email"], username="free", metadata="{}")
    await both.follow()
    assert (await both.user(rows[0])).tags == ["b"]


async def test_a_hash_made_anew_at_a_login_here_is_not_undone_while_the_rest_waits(
    both: Both, rows: list[Row]
) -> None:
    both.change(rows[0], secret=hash_of("another one"), username="a@b")
    await both.follow()
    both.rehash(rows[0], "$2b$05$" + hash_of("another one")[7:])
    both.change(rows[0], first_name="Changed")
    assert (await both.follow()).changed == 0
    assert names(await both.history(rows[0])) == ["users.secret_changed.v1"]


async def test_a_field_that_has_a_fault_itself_is_not_followed_and_the_notice_says_so(
    both: Both, rows: list[Row]
) -> None:
    before = both.hash(rows[0])
    both.change(rows[0], status=1, secret="rot13:frperg")
    both.change(rows[1], status=7, secret=hash_of("another one"))
    assert (await both.follow()).changed == 2
    assert (await both.user(rows[0])).status == "disabled"
    assert both.hash(rows[0]) == before
    assert (await both.user(rows[1])).status == "enabled"
    assert both.hash(rows[1]) == hash_of("another one")
    whys = {one.id: one.why for one in both.notices}
    assert whys[rows[0]["id"]].endswith("followed: status, role.")
    assert whys[rows[1]["id"]].endswith("followed: role, secret.")


async def test_the_last_admin_stays_one_and_has_the_new_secret(both: Both, rows: list[Row]) -> None:
    both.change(rows[0], role=1)
    await both.follow()
    both.change(rows[0], status=1, secret=hash_of("another one"))
    assert (await both.follow()).changed == 1
    assert (await both.user(rows[0])).status == "enabled"
    assert both.hash(rows[0]) == hash_of("another one")
    assert "last admin" in both.notices[0].why
    assert both.notices[0].why.endswith("followed: secret.")


async def test_an_account_that_was_changed_here_is_left_alone_by_a_row_with_faults_too(
    both: Both, rows: list[Row]
) -> None:
    await both.change_here(rows[0], events.TagsChanged(at=datetime.now(UTC), tags=["here"]))
    both.change(rows[0], status=1, username="a@b")
    assert (await both.follow()).changed == 0
    assert (await both.user(rows[0])).status == "enabled"
    assert "followed" not in both.notices[0].why
