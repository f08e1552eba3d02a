"""What changes in the other service until the switch comes along; what was changed here stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from application.following import CannotFollow, Followed, FollowWanted, Notice
from application.import_runs import ImportWanted
from application.importing import Account, Offered
from domain import events
from infrastructure.importing import following
from infrastructure.importing.bringing import bring
from infrastructure.importing.following import PostgresFollowing
from infrastructure.importing.originals import source_of
from infrastructure.standing import open_keys
from tests.importing.original_both import Both
from tests.importing.original_crowd import Row, crowd, hash_of, original, put
from tests.support.databases import ROOT_KEY, Databases, standing
from tests.support.truth import read_log

COUNT = 12
NEW_SECRET = "another one"


@pytest.fixture
def rows() -> list[Row]:
    return [
        row | {"status": 0, "role": 0, "updated_at": row["updated_at"] or ANCIENT} for row in crowd(COUNT)
    ]


ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)


async def test_what_was_not_brought_before_comes_by_following_alone(both: Both, rows: list[Row]) -> None:
    assert await both.follow() == Followed(looked_at=COUNT, imported=COUNT)
    assert await both.follow() == Followed()
    assert both.notices == []


async def test_nothing_is_done_where_nothing_has_changed_since_the_import(
    both: Both, rows: list[Row]
) -> None:
    await both.bring()
    assert await both.follow() == Followed(looked_at=COUNT)
    assert await both.follow(anew=True) == Followed(looked_at=COUNT)
    assert len(await read_log(both.here, ROOT_KEY)) == COUNT


async def test_every_change_there_becomes_its_event_here_at_its_time(both: Both, rows: list[Row]) -> None:
    await both.bring()
    at = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)
    both.change(
        rows[0], email="new@example.com", username="new-name", first_name="New", metadata='{"n": 1}',
        tags=["n"], profile_picture="https://example.com/n.png", role=1, status=1, updated_at=at,
        verified_at=None, secret=hash_of(NEW_SECRET),
    )  # fmt: skip
    assert await both.follow() == Followed(looked_at=COUNT, changed=1)
    history = (await both.history(rows[0]))[1:]
    assert [one.name.split(".")[1] for one in history] == [
        "email_changed", "username_changed", "profile_updated", "tags_changed", "picture_changed",
        "role_changed", "disabled", "secret_changed",
    ]  # fmt: skip
    assert {one.event.at for one in history} == {at}
    assert {one.actor.kind for one in history} == {"operator"}
    user = await both.user(rows[0])
    assert (user.email, user.username, user.first_name) == ("new@example.com", "new-name", "New")
    assert (user.metadata, user.tags, user.role, user.status) == ({"n": 1}, ["n"], "admin", "disabled")
    assert both.hash(rows[0]) == hash_of(NEW_SECRET)
    assert await both.follow() == Followed()


@pytest.mark.parametrize(
    ("numbers", "names"),
    [
        ((2, 0), ["deleted", "restored"]),
        ((2, 1), ["deleted", "restored", "disabled"]),
        ((1, 0, 2), ["disabled", "enabled", "deleted"]),
        ((1, 2), ["disabled", "deleted"]),
    ],
)
async def test_a_status_goes_wherever_it_goes_there(
    both: Both, rows: list[Row], numbers: tuple[int, ...], names: list[str]
) -> None:
    await both.bring()
    for number in numbers:
        both.change(rows[0], status=number)
        await both.follow()
    assert [one.name.split(".")[1] for one in (await both.history(rows[0]))[1:]] == names
    assert (await both.user(rows[0])).status == ("enabled", "disabled", "deleted")[numbers[-1]]


async def test_a_new_secret_is_followed_and_a_hash_made_anew_at_a_login_here_is_not_undone(
    both: Both, rows: list[Row]
) -> None:
    await both.bring()
    await both.follow()
    again = hash_of("made anew at a login")
    with psycopg.connect(both.here) as connection:
        connection.execute(
            "UPDATE credentials SET secret_hash = %s WHERE user_id = %s", (again, rows[1]["id"])
        )
    both.change(rows[0], secret=hash_of(NEW_SECRET))
    assert (await both.follow(anew=True)).changed == 1
    assert (both.hash(rows[0]), both.hash(rows[1])) == (hash_of(NEW_SECRET), again)
    assert (await both.user(rows[0])).epoch == 2


async def test_verifying_there_verifies_here(both: Both, rows: list[Row]) -> None:
    await both.bring()
    unverified = next(row for row in rows if row["verified_at"] is None)
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    both.change(unverified, verified_at=at, updated_at=unverified["updated_at"])
    assert (await both.follow()).changed == 1
    assert (await both.user(unverified)).verified_at == at


async def test_an_account_that_was_changed_here_stays_and_is_told_once(both: Both, rows: list[Row]) -> None:
    await both.bring()
    await both.follow()
    await both.change_here(rows[0], events.TagsChanged(at=datetime.now(UTC), tags=["here"]))
    both.change(rows[0], first_name="There")
    assert await both.follow() == Followed(looked_at=1, left=1)
    assert both.notices == [
        Notice(
            rows[0]["id"],
            "It was changed here since it came, and differently there: what was done here stays.",
        )
    ]
    assert (await both.user(rows[0])).tags == ["here"]
    assert await both.follow() == Followed()


async def test_whoever_was_erased_here_does_not_come_back_and_leaves_no_trace(
    both: Both, rows: list[Row]
) -> None:
    await both.follow()
    await both.change_here(rows[0], events.ErasureRequested(at=datetime.now(UTC)))
    with psycopg.connect(both.here) as connection:
        # What erasing does with this table.
        connection.execute("DELETE FROM followed_accounts WHERE user_id = %s", (rows[0]["id"],))
    both.change(rows[0], first_name="Again")
    assert (await both.follow()).left == 1
    assert both.notices[0].why == "It was erased here and does not come back."
    with psycopg.connect(both.here) as connection:
        found = connection.execute("SELECT FROM followed_accounts WHERE user_id = %s", (rows[0]["id"],))
        assert found.fetchall() == []


async def test_who_is_gone_there_is_deleted_here_but_nobody_else(both: Both, rows: list[Row]) -> None:
    await both.bring()
    await both.follow()
    elsewhere = Account(id=UUID(int=7, version=4), email="file@example.com", created_at=ANCIENT)
    await bring(both.here, both.keys, OneAccount(elsewhere), ImportWanted())
    both.remove(rows[0])
    assert await both.follow() == Followed(closed=1)
    assert (await both.user(rows[0])).status == "deleted"
    assert (await both.user({"id": str(elsewhere.id)})).status == "enabled"
    assert await both.follow() == Followed()


async def test_a_table_that_was_emptied_closes_nobody(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FEW", 3)
    await both.follow()
    both.remove(*rows[:5])
    with pytest.raises(CannotFollow, match="5 of 12 accounts are gone"):
        await both.follow()
    assert (await both.user(rows[0])).status == "enabled"


async def test_a_name_that_one_gives_up_and_another_takes_finds_its_way(both: Both, rows: list[Row]) -> None:
    await both.bring()
    await both.follow()
    now = datetime.now(UTC)
    chain = [row["email"] for row in rows[:4]]
    both.change(rows[0], email="free@example.com", updated_at=now)
    for number in (1, 2, 3):
        both.change(rows[number], email=chain[number - 1], updated_at=now + timedelta(microseconds=number))
    assert await both.follow() == Followed(looked_at=4, changed=4)
    assert [(await both.user(row)).email for row in rows[:4]] == ["free@example.com", *chain[:3]]


async def test_what_a_rule_forbids_is_told_and_tried_again_until_it_fits(both: Both, rows: list[Row]) -> None:
    await both.bring()
    await both.follow()
    put_there(both.there, crowd(1, seed=2)[0] | {"email": rows[0]["email"].upper(), "username": None})
    assert (await both.follow()).left == 1
    assert "has the email" in both.notices[0].why
    assert rows[0]["email"] not in both.notices[0].why
    both.change(rows[0], email="other@example.com")
    assert (await both.follow()).imported == 1


async def test_a_row_that_cannot_be_an_account_is_told_by_its_id(both: Both, rows: list[Row]) -> None:
    put_there(both.there, crowd(1, seed=2)[0] | {"status": 7})
    assert await both.follow() == Followed(looked_at=COUNT, imported=COUNT, left=1)
    assert both.notices[0].why.startswith("/status:")


async def test_a_clock_that_was_wrong_costs_no_change(both: Both, rows: list[Row]) -> None:
    await both.follow()
    both.change(rows[0], first_name="Late", updated_at=datetime(2021, 1, 1, tzinfo=UTC))
    both.change(rows[1], first_name="Early", updated_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert (await both.follow()).changed == 2


async def test_a_look_finds_a_change_without_a_sweep(
    both: Both, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SWEEP_EVERY", 3600.0)
    ended = asyncio.Event()

    def moved(count: Followed) -> None:
        if count.imported == COUNT and not count.changed:
            both.change(rows[0], first_name="Seen")
        elif count.changed:
            ended.set()

    source = source_of(both.there, "magistrala")
    wanted = FollowWanted(dsn=both.there, dialect="magistrala", every=0.01)
    async with both.follower(source, moved, ended) as follower, asyncio.timeout(60):
        await follower.run(wanted)
    source.close()
    assert (await both.user(rows[0])).first_name == "Seen"


def test_a_table_without_times_of_change_cannot_be_followed(databases: Databases, database: str) -> None:
    made = PostgresFollowing(standing(database), open_keys(standing(database)))
    with (
        original(databases, "mainflux_users", crowd(1)) as dsn,
        pytest.raises(CannotFollow, match="does not say when a row was changed"),
    ):
        made.follow(FollowWanted(dsn=dsn, dialect="mainflux"), lambda notice: None, lambda count: None)


class OneAccount:
    """A source of one account, as a file would be."""

    size = 1

    def __init__(self, account: Account) -> None:
        self._account = account

    def offered(self, after: int = 0) -> Iterator[Offered]:
        yield Offered(place=1, account=self._account)


def put_there(dsn: str, row: Row) -> None:
    with psycopg.connect(dsn) as connection:
        put(connection, [row])
