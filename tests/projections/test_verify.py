"""Verification finds whatever is wrong with a read model, and nothing where nothing is wrong."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from application.operations import Progress
from application.projections import NotProven, Verification
from domain import events
from infrastructure.operations.checking import BackgroundCheck
from projections import proof
from projections.catalogue import READ_MODELS
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.repair import repair
from projections.users.projector import Users
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, one, projecting, rows
from tests.projections.vandal import Vandal
from tests.support.writer import AT, Writer

each_model = pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)


async def verified(writer: Writer, model: ReadModel, generation: int = 1) -> Verification:
    return await proof.verify(writer.conninfo, writer.reader, model, generation)


async def mend(writer: Writer, model: ReadModel, user: UUID) -> None:
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
        await repair(connection, writer.reader, model, 1, user)


@pytest.fixture
async def lately(database: str) -> AsyncIterator[Writer]:
    """Appends to a log on the later PostgreSQL alone: for what takes many steps."""
    async with Writer(database) as ready:
        yield ready


@each_model
async def test_whatever_is_done_to_one_row_is_found_and_put_right(lately: Writer, model: ReadModel) -> None:
    writer = lately
    users = await writer.random_history(7, users=12, events_each=3)
    async with projecting(writer, model):
        await caught_up(writer.conninfo, name=model.name)
    assert (await verified(writer, model)).holds
    vandal, chance = Vandal(writer, model, 1), random.Random(2)
    for column in vandal.columns:
        user = chance.choice(users)
        vandal.change(user, column)
        (found,) = (await verified(writer, model)).differences
        assert (found.user_id, found.columns[:1]) in ((user, [column]), (user, [])), column
        assert found.missing + found.extra + found.different == (1 if found.columns else 2)
        await mend(writer, model, user)
        assert (await verified(writer, model)).holds
    gone, copied = chance.sample(users, 2)
    vandal.remove(gone)
    nobody = vandal.add(copied)
    found_by_user = {found.user_id: found for found in (await verified(writer, model)).differences}
    assert found_by_user.keys() == {gone, nobody}
    assert (found_by_user[gone].missing, found_by_user[nobody].extra) == (1, 1)
    assert {user for (user,) in rows(writer.conninfo, "SELECT user_id FROM projection_differences")} == {
        gone, nobody
    }  # fmt: skip
    for user in (gone, nobody):
        await mend(writer, model, user)
    assert (await verified(writer, model)).holds
    assert one(writer.conninfo, "SELECT count(*) FROM projection_differences") == 0


async def test_totals_that_do_not_agree_with_their_rows_are_found(writer: Writer) -> None:
    (signups,) = (model for model in READ_MODELS if model.name == "signups")
    await writer.register(5)
    async with projecting(writer, signups):
        await caught_up(writer.conninfo, name="signups")
    rows(writer.conninfo, "UPDATE signups_v1_g1_totals SET users = users + 1 RETURNING 1")
    found = await verified(writer, signups)
    assert not found.holds
    assert found.disagreements == ["2026-01-02 enabled user"]
    rebuilt = await rebuild(signups, writer.reader, writer.conninfo)
    assert (await verified(writer, signups, rebuilt.generation)).holds


@asynccontextmanager
async def writing(writer: Writer) -> AsyncIterator[list[int]]:
    users, reached = await writer.register(5), [0]

    async def write() -> None:
        chance = random.Random(5)
        while True:
            users.extend(await writer.register())
            await writer.rename(chance.choice(users))
            reached.append(len(users))

    task = asyncio.create_task(write())
    try:
        yield reached
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_read_model_that_is_written_meanwhile_is_verified_exactly(lately: Writer) -> None:
    writer = lately
    await writer.random_history(3, users=40, events_each=3)
    async with projecting(writer), writing(writer) as reached:
        positions = set[int]()
        rounds = 0
        # As often as it takes to meet the read models at several positions on their way.
        async with asyncio.timeout(60):
            while rounds < 4 or len(positions) < 4:
                rounds += 1
                before = len(reached)
                for model in READ_MODELS:
                    found = await verified(writer, model)
                    assert found.holds, found
                    positions.add(found.position)
                assert len(reached) > before, "nothing was written meanwhile, so nothing was shown"


@each_model
async def test_a_sample_takes_its_share_and_a_verification_of_it_holds(
    writer: Writer, model: ReadModel
) -> None:
    await writer.register(300)
    async with projecting(writer, model):
        await caught_up(writer.conninfo, name=model.name)
    found = await proof.verify(writer.conninfo, writer.reader, model, 1, share=0.3)
    assert found.holds
    assert 40 < found.users < 160
    assert found.users == found.rows


@each_model
async def test_who_is_being_erased_is_skipped_until_the_read_model_is_there(
    writer: Writer, model: ReadModel
) -> None:
    gone, _ = await writer.register(2)
    async with projecting(writer, model):
        await caught_up(writer.conninfo, name=model.name)
    await writer.append(gone, events.Deleted(at=AT), events.ErasureRequested(at=AT))
    writer.forget(gone)
    found = await verified(writer, model)
    assert (found.holds, found.skipped, found.users) == (True, 1, 1)
    async with projecting(writer, model):
        await caught_up(writer.conninfo, name=model.name)
    found = await verified(writer, model)
    assert (found.holds, found.skipped, found.users) == (True, 0, 2)


async def test_lag_alone_is_no_difference_between_two_generations(writer: Writer) -> None:
    users = await writer.register(30)
    async with projecting(writer, Users()):
        await caught_up(writer.conninfo, name="users")
    await rebuild(Users(), writer.reader, writer.conninfo)
    for user in users[:3]:
        await writer.rename(user)
    rows(writer.conninfo, "UPDATE projections SET paused_at = now() WHERE generation = 1 RETURNING 1")
    async with projecting(writer, Users()):
        await caught_up(writer.conninfo, name="users")
    found, suspects = await proof.compare(writer.conninfo, Users(), 2, 1)
    assert (found.holds, found.skipped, found.rows) == (True, 3, 30)
    assert set(suspects) == set(users[:3])
    rows(writer.conninfo, f"DELETE FROM users_v1_g1 WHERE id = '{users[9]}' RETURNING 1")
    found, suspects = await proof.compare(writer.conninfo, Users(), 2, 1)
    assert [difference.user_id for difference in found.differences] == [users[9]]


async def test_a_rebuild_that_is_not_what_the_log_says_is_not_read_unless_that_is_asked_for(
    writer: Writer,
) -> None:
    users = await writer.register(20)
    async with projecting(writer, Users()):
        await caught_up(writer.conninfo, name="users")

    def spoil(step: Progress) -> None:
        if step.stage == "verifying":
            rows(writer.conninfo, f"UPDATE users_v1_g2 SET role = 'x' WHERE id = '{users[4]}' RETURNING 1")

    with pytest.raises(NotProven, match=str(users[4])):
        await rebuild(Users(), writer.reader, writer.conninfo, spoil)
    assert one(writer.conninfo, "SELECT generation FROM projections WHERE live AND name = 'users'") == 1
    rebuilt = await rebuild(Users(), writer.reader, writer.conninfo, spoil, anyway=True)
    assert (rebuilt.generation, rebuilt.corrected) == (2, 1)
    with pytest.raises(NotProven):
        await rebuild(Users(), writer.reader, writer.conninfo, lambda step: _spoil_third(writer, step))
    rebuilt = await rebuild(Users(), writer.reader, writer.conninfo, anew=True)
    assert one(writer.conninfo, "SELECT generation FROM projections WHERE live AND name = 'users'") == 3
    # What the old one had wrong is no reason not to read the new one: it is told.
    assert rebuilt.corrected == 1
    assert (await verified(writer, Users(), 3)).holds


def _spoil_third(writer: Writer, step: Progress) -> None:
    if step.stage == "verifying":
        rows(writer.conninfo, "DELETE FROM users_v1_g3 RETURNING 1")


async def test_the_background_check_goes_round_tells_who_differs_and_forgets_who_was_mended(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    users = sorted(await writer.register(12))
    async with projecting(writer):
        await caught_up(writer.conninfo)
    check = BackgroundCheck(writer.conninfo, writer.reader, 5)
    checked = "SELECT checked FROM projections WHERE name = 'users'"
    assert await check.run() == ""
    assert one(writer.conninfo, checked) == 5
    Vandal(writer, Users(), 1).change(users[7], "email")
    with caplog.at_level(logging.ERROR):
        assert await check.run() == "1 of users"
    (told,) = caplog.messages
    assert str(users[7]) in told
    assert "example.com" not in told
    assert await check.run() == ""
    assert one(writer.conninfo, checked) == 12, "a round ends with the last user"
    assert one(writer.conninfo, "SELECT user_id FROM projection_differences") == users[7]
    await mend(writer, Users(), users[7])
    assert one(writer.conninfo, "SELECT count(*) FROM projection_differences") == 0
    assert await check.run() == ""
    assert one(writer.conninfo, checked) == 17


async def test_the_command_names_users_and_columns_and_no_values_and_ends_with_1(database: str) -> None:
    async with Writer(database) as writer:
        users = await writer.register(3)
        async with projecting(writer):
            await caught_up(database)
        well = await asyncio.to_thread(usersd, database, "projections", "verify", "users", "--json")
        assert well.code == 0, well
        Vandal(writer, Users(), 1).change(users[1], "email")
        found = await asyncio.to_thread(usersd, database, "projections", "verify", "users", "--json")
        assert found.code == 1, found
        difference, summary = found.rows
        assert difference == {
            "kind": "difference", "user_id": str(users[1]), "missing": 0, "extra": 0, "different": 1,
            "columns": ["email"], "unreadable": None,
        }  # fmt: skip
        assert (summary["kind"], summary["users"], summary["differing"]) == ("verified", 3, 1)
        shown = await asyncio.to_thread(usersd, database, "projections", "status", "--json")
        assert shown.code == 1
        differing = {row["name"]: row["differing"] for row in shown.rows if row["kind"] == "generation"}
        assert differing == {"users": 1, "history": 0, "signups": 0}
        arguments = ("projections", "rebuild", "users", "--user", str(users[1]))
        mended = await asyncio.to_thread(usersd, database, *arguments)
        assert (mended.code, mended.out) == (0, ""), mended
        assert (await verified(writer, Users())).holds
