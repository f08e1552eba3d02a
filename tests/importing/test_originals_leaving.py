"""What following cannot take along is told with a way out, and names that go round come round."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.following import Followed
from domain import events
from infrastructure.importing import taking, telling
from infrastructure.importing.taking import Taking
from tests.importing.original_both import Both
from tests.importing.original_crowd import Row, crowd, hash_of, put
from tests.projections.commanding import usersd

COUNT = 8
ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)
VERIFIED_AT = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows() -> list[Row]:
    """Accounts with everything that can be taken away."""
    return [
        row
        | {"status": 0, "role": 0, "updated_at": ANCIENT, "username": f"user-{number}"}
        | {"auth_provider": "google", "secret": hash_of("changeMe123"), "verified_at": VERIFIED_AT}
        for number, row in enumerate(crowd(COUNT))
    ]


@pytest.fixture
async def both(there: str, database: str) -> Both:
    made = Both(there, database)
    await made.bring()
    await made.follow()
    assert made.notices == []
    return made


@pytest.mark.parametrize("gone", [None, ""], ids=["null", "empty"])
async def test_a_secret_that_was_taken_away_there_opens_nothing_here(
    both: Both, rows: list[Row], gone: str | None
) -> None:
    before = both.hash(rows[0])
    both.change(rows[0], secret=gone)
    assert await both.follow() == Followed(looked_at=1, changed=1)
    assert [one.name for one in (await both.history(rows[0]))[1:]] == ["users.secret_changed.v1"]
    assert both.hash(rows[0]) not in (None, before)
    assert (await both.user(rows[0])).epoch == 2
    # And once only, however often it is looked at.
    assert await both.follow(anew=True) == Followed(looked_at=COUNT)
    both.change(rows[0], secret=hash_of("another one"))
    assert (await both.follow()).changed == 1
    assert both.hash(rows[0]) == hash_of("another one")


async def test_anew_finds_a_secret_that_was_changed_there_without_a_time(both: Both, rows: list[Row]) -> None:
    made_here = hash_of("made anew at a login")
    both.rehash(rows[1], made_here)
    both.change(rows[0], secret=hash_of("another one"), updated_at=ANCIENT)
    assert await both.follow() == Followed()
    assert await both.follow(anew=True) == Followed(looked_at=COUNT, changed=1)
    assert (both.hash(rows[0]), both.hash(rows[1])) == (hash_of("another one"), made_here)


async def test_a_secret_that_changed_between_import_and_following_is_seen_without_a_time(
    there: str, database: str, rows: list[Row]
) -> None:
    made = Both(there, database)
    await made.bring()
    made.change(rows[0], secret=hash_of("another one"), updated_at=ANCIENT)
    made.change(rows[1], secret=None, updated_at=ANCIENT)
    assert await made.follow() == Followed(looked_at=COUNT, changed=2)
    assert made.hash(rows[0]) == hash_of("another one")


@pytest.mark.parametrize(
    ("gone", "pointer"),
    [
        ({"username": None}, "/username"),
        ({"auth_provider": "github"}, "/auth_provider"),
        ({"auth_provider": None}, "/auth_provider"),
        ({"verified_at": None}, "/verified_at"),
    ],
    ids=["username", "another provider", "no provider", "verification"],
)
async def test_what_no_event_takes_away_is_told_with_the_account_and_stays(
    both: Both, rows: list[Row], gone: dict[str, Any], pointer: str
) -> None:
    both.change(rows[0], **gone)
    assert await both.follow() == Followed(looked_at=1, left=1)
    assert [(one.id, one.why.split(":")[0]) for one in both.notices] == [(rows[0]["id"], pointer)]
    assert len(await both.history(rows[0])) == 1
    # What else changes comes all the same, and a comparison of all tells it again.
    both.change(rows[0], first_name="Changed", **gone)
    assert await both.follow() == Followed(looked_at=1, changed=1, left=1)
    assert await both.follow() == Followed()
    assert await both.follow(anew=True) == Followed(looked_at=COUNT, left=1)


async def test_whoever_verified_the_email_here_is_not_told_of(both: Both, rows: list[Row]) -> None:
    both.change(rows[0], verified_at=None, email="new@example.com")
    assert await both.follow() == Followed(looked_at=1, changed=1)
    await both.change_here(rows[0], events.Verified(at=datetime.now(UTC), email="new@example.com"))
    assert await both.follow(anew=True) == Followed(looked_at=COUNT)


async def test_whoever_comes_again_under_another_id_is_told_the_way_and_comes_by_it(
    both: Both, rows: list[Row]
) -> None:
    again = crowd(1, seed=2)[0] | {"email": rows[0]["email"], "username": rows[0]["username"], "status": 0}
    both.remove(rows[0])
    put_there(both.there, again)
    # It looks twice before it is quiet, and tells once.
    assert await both.follow() == Followed(looked_at=2, closed=1, left=1)
    assert await both.follow() == Followed(looked_at=2, left=1)
    (notice,) = both.notices
    assert notice.id == again["id"]
    command = f"usersd users erase {rows[0]['id']}"
    assert f"`{command}`" in notice.why
    done = usersd(both.here, *command.split()[1:], "--yes")
    assert done.code == 0, done.err
    assert await both.follow() == Followed(looked_at=1, imported=1)
    assert (await both.user(again)).email == rows[0]["email"]


async def test_a_name_that_both_have_is_told_with_who_has_it(both: Both, rows: list[Row]) -> None:
    put_there(both.there, crowd(1, seed=2)[0] | {"email": rows[0]["email"].upper(), "username": None})
    assert await both.follow() == Followed(looked_at=2, left=1)
    assert rows[0]["id"] in both.notices[0].why
    assert "erase" not in both.notices[0].why


@pytest.mark.parametrize("field", ["email", "username"])
@pytest.mark.parametrize("around", [2, 5])
async def test_names_that_were_exchanged_there_are_exchanged_here(
    both: Both, rows: list[Row], field: str, around: int
) -> None:
    exchange(both, rows[:around], field)
    assert (await both.follow()).changed == around
    assert both.notices == []
    names = [row[field] for row in rows]
    found = [getattr(await both.user(row), field) for row in rows[:around]]
    assert found == [*names[1:around], names[0]]
    assert all([(await both.user(row)).is_verified for row in rows])
    assert await both.follow(anew=True) == Followed(looked_at=COUNT)
    # One of them gave theirs up for a moment; nobody else has more than one change.
    assert sorted([len(await both.history(row)) for row in rows[:around]])[:-1] == (
        [2 + (field == "email")] * (around - 1)
    )


async def test_two_who_exchanged_email_and_username_are_told_apart_again(both: Both, rows: list[Row]) -> None:
    exchange(both, rows[:2], "email")
    exchange(both, rows[:2], "username")
    await both.follow()
    assert both.notices == []
    one, other = [await both.user(row) for row in rows[:2]]
    assert (one.email, one.username) == (rows[1]["email"], rows[1]["username"])
    assert (other.email, other.username) == (rows[0]["email"], rows[0]["username"])


async def test_a_ring_of_names_is_found_wherever_its_members_stand(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "AT_ONCE", 1)
    exchange(both, rows[:3], "username")
    assert (await both.follow()).changed == 3
    assert both.notices == []
    assert [(await both.user(row)).username for row in rows[:3]] == ["user-1", "user-2", "user-0"]


async def test_nobody_gives_up_a_name_for_a_ring_that_does_not_come_round(
    both: Both, rows: list[Row]
) -> None:
    exchange(both, rows[:2], "email")
    # The second one is also to get a username that somebody keeps.
    both.change(rows[1], username=rows[5]["username"].upper())
    count = await both.follow()
    assert (count.changed, count.left) == (0, 2)
    assert [len(await both.history(row)) for row in rows[:2]] == [1, 1]


async def test_the_last_admin_gives_up_no_name_on_the_way_to_what_is_refused(
    both: Both, rows: list[Row]
) -> None:
    both.change(rows[0], role=1)
    await both.follow()
    exchange(both, rows[:2], "email")
    both.change(rows[0], role=0)
    count = await both.follow()
    assert (count.changed, count.left) == (0, 2)
    assert (await both.user(rows[0])).email == rows[0]["email"]


async def test_nobody_keeps_a_name_for_a_moment_because_the_following_was_ended_then(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange(both, rows[:2], "email", at=ANCIENT)
    whole = Taking._release

    async def ended(self: Taking, *some: Any) -> bool:
        if await whole(self, *some):
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(Taking, "_release", ended)
    with pytest.raises(KeyboardInterrupt):
        await both.follow(anew=True)
    assert sorted([len(await both.history(row)) for row in rows[:2]]) == [1, 2]
    monkeypatch.setattr(Taking, "_release", whole)
    # No time there tells of the change, and nothing is compared but times.
    assert (await both.follow()).changed == 2
    assert [(await both.user(row)).email for row in rows[:2]] == [rows[1]["email"], rows[0]["email"]]


async def test_what_was_read_again_is_not_undone_by_what_was_read_before(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "AT_ONCE", 1)
    drawn_in = Taking._draw_in

    async def later(self: Taking, ids: Collection[UUID], *some: Any) -> set[UUID]:
        both.change(rows[1], first_name="Later")
        return await drawn_in(self, ids, *some)

    monkeypatch.setattr(Taking, "_draw_in", later)
    exchange(both, rows[:2], "email")
    await both.follow()
    found = [one.name for one in await both.history(rows[1])]
    assert found.count("users.profile_updated.v1") == 1
    assert (await both.user(rows[1])).first_name == "Later"


async def test_rows_whose_ids_are_none_are_named_one_by_one_and_then_counted(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "NAMED", 3)
    bad = ["ABCDEF00-0000-4000-8000-000000000001", "ada@example.com", "040-7654321", "8", "9"]
    for number, one in enumerate(bad):
        row = crowd(1, seed=number + 2)[0] | {"id": one, "email": f"{number}@example.com", "username": None}
        put_there(both.there, row)
    assert await both.follow() == Followed(left=5)
    named = [one.id for one in both.notices]
    assert len(named) == len(set(named)) == 4
    assert "(2 more rows)" in named
    assert "ada@example.com" not in str(both.notices)
    assert "7654321" not in str(both.notices)


async def test_a_number_that_loses_digits_is_told_when_it_comes(both: Both, rows: list[Row]) -> None:
    both.change(rows[0], metadata='{"a": 0.12345678901234567890123}')
    assert await both.follow() == Followed(looked_at=1, changed=1, left=1)
    assert both.notices[0].why.startswith("/metadata")
    assert await both.follow(anew=True) == Followed(looked_at=COUNT)


async def test_wide_rows_are_followed_page_by_page(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.importing.originals.PAGE_CHARACTERS", 5000)
    for row in rows:
        both.change(row, metadata=json.dumps({"wide": "x" * 3000}))
    assert await both.follow() == Followed(looked_at=COUNT, changed=COUNT)
    both.change(rows[0], metadata=json.dumps({"wide": "x" * 2**20}))
    assert await both.follow() == Followed(left=1)
    assert both.notices[0].id == rows[0]["id"]
    assert "bytes" in both.notices[0].why


def exchange(both: Both, rows: list[Row], field: str, at: datetime | None = None) -> None:
    """Each gets the name of the next one there, and the last one that of the first."""
    names = [row[field] for row in rows]
    for number, row in enumerate(rows):
        both.change(row, **{field: f"{number}@moment"})
    now = datetime.now(UTC)
    for number, row in enumerate(rows):
        name = names[(number + 1) % len(rows)]
        both.change(row, **{field: name}, updated_at=at or now + timedelta(microseconds=number))


def put_there(dsn: str, row: Row) -> None:
    with psycopg.connect(dsn) as connection:
        put(connection, [row])
