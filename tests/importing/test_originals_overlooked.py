"""Following overlooks nobody: not who went early, nor whom a wrong clock or another address hides."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import bcrypt
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from application.following import CannotFollow, Followed
from domain import events
from infrastructure.importing import following, original_table, originals
from infrastructure.importing.originals import Since, source_of
from tests.importing.original_both import Both
from tests.importing.original_crowd import Row, crowd, hash_of, original
from tests.importing.test_originals_moving import closed_for_new_ones
from tests.support.databases import Databases

COUNT = 12
ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows() -> list[Row]:
    return [
        row | {"status": 0, "role": 0, "created_at": ANCIENT, "updated_at": ANCIENT} for row in crowd(COUNT)
    ]


async def test_who_is_gone_between_import_and_following_is_deleted_here(both: Both, rows: list[Row]) -> None:
    await both.bring()
    both.remove(rows[0])
    assert await both.follow() == Followed(looked_at=COUNT - 1, closed=1)
    assert (await both.user(rows[0])).status == "deleted"


async def test_a_hash_made_anew_before_following_began_is_not_undone(both: Both, rows: list[Row]) -> None:
    await both.bring()
    again = bcrypt.hashpw(b"changeMe123", bcrypt.gensalt(5)).decode()
    with psycopg.connect(both.here) as connection:
        connection.execute(
            "UPDATE credentials SET secret_hash = %s WHERE user_id = %s", (again, rows[0]["id"])
        )
    assert await both.follow() == Followed(looked_at=COUNT)
    assert both.hash(rows[0]) == again


async def test_importing_again_notes_nobody_who_was_erased(both: Both, rows: list[Row]) -> None:
    await both.bring()
    await both.change_here(rows[0], events.ErasureRequested(at=datetime.now(UTC)))
    with psycopg.connect(both.here) as connection:
        # What erasing does with these tables.
        connection.execute("DELETE FROM followed_accounts WHERE user_id = %s", (rows[0]["id"],))
        connection.execute(
            "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", (rows[0]["id"],)
        )
    await both.bring()
    with psycopg.connect(both.here) as connection:
        noted = connection.execute("SELECT user_id::text FROM followed_accounts").fetchall()
    assert sorted([one for (one,) in noted]) == sorted([row["id"] for row in rows[1:]])


async def test_after_whoever_was_meant_to_go_was_deleted_here_following_goes_on(
    both: Both, rows: list[Row]
) -> None:
    await both.bring()
    both.remove(*rows[:5])
    with pytest.raises(CannotFollow, match="5 of 12 accounts are gone"):
        await both.follow()
    for row in rows[:5]:
        await both.change_here(row, events.Deleted(at=datetime.now(UTC)))
    assert await both.follow() == Followed()
    # They are forgotten, so that others may go.
    both.remove(rows[5])
    assert await both.follow() == Followed(closed=1)


@pytest.mark.parametrize("ahead", ["created_at", "updated_at", "verified_at"])
async def test_a_time_that_lies_ahead_hides_no_change(both: Both, rows: list[Row], ahead: str) -> None:
    times = {"updated_at": None, "verified_at": None} | {ahead: datetime.now(UTC) + timedelta(days=300)}
    both.change(rows[0], **times)
    await both.follow()
    secret = hash_of("another one")
    both.change(rows[0], secret=secret, status=1)
    assert await both.follow() == Followed(looked_at=1, changed=1)
    assert both.hash(rows[0]) == secret
    assert await both.follow() == Followed()


async def test_looks_go_on_behind_many_changes_of_one_time(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (originals, following):
        monkeypatch.setattr(module, "LOOK", 5)
    await both.follow()
    at = datetime.now(UTC)
    for row in rows[:8]:
        both.change(row, tags=["changed"], updated_at=at)
    both.change(rows[9], first_name="Later", updated_at=at + timedelta(seconds=1))
    source = source_of(both.there, "magistrala")
    async with both.follower(source, lambda count: None, asyncio.Event()) as follower:
        since: Since | None = (at - timedelta(seconds=60)).replace(tzinfo=None), None
        looks = 0
        while since is not None:
            _, since = await follower._look(since)
            looks += 1
    source.close()
    assert looks == 2
    assert (await both.user(rows[9])).first_name == "Later"


async def test_a_database_is_known_by_any_of_its_addresses(both: Both, rows: list[Row]) -> None:
    await both.follow()
    both.remove(rows[0])
    given = conninfo_to_dict(both.there)
    both.there = make_conninfo(both.there, host=f"{given['host']}/")
    assert await both.follow() == Followed(closed=1)


def test_two_tables_of_one_server_are_two_sources(databases: Databases, there: str) -> None:
    with original(databases, "magistrala_users", []) as other:
        assert source_of(there, "magistrala").known_as != source_of(other, "magistrala").known_as


def test_a_server_that_does_not_tell_who_it_is_is_known_by_its_address(
    there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = source_of(there, "magistrala").known_as
    monkeypatch.setattr(original_table, "_MAY_TELL_CLUSTER", "SELECT false")
    first, again = source_of(there, "magistrala").known_as, source_of(there, "magistrala").known_as
    assert first == again != told


async def test_following_waits_for_the_database_here(both: Both, rows: list[Row]) -> None:
    await both.follow()
    both.change(rows[0], first_name="Waited")
    source = source_of(both.there, "magistrala")
    async with both.follower(source, lambda count: None, asyncio.Event()) as follower:
        await follower._sweep()
        both.change(rows[1], first_name="Waited")
        both.remove(rows[2])
        with closed_for_new_ones(both.here) as close:
            close()
            sweep = asyncio.create_task(follower._sweep())
            await asyncio.wait([sweep], timeout=1)
            assert not sweep.done()
        async with asyncio.timeout(60):
            await sweep
        assert (follower.count.changed, follower.count.closed) == (2, 1)
    source.close()
    assert (await both.user(rows[1])).first_name == "Waited"
