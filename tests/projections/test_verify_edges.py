"""Verification at its edges: totals beside rows, the first and the last id, users who are not there."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from projections import proof
from projections.catalogue import READ_MODELS
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from projections.users.projector import Users
from projections.verify import TOTALS, verifying
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, projecting, rows
from tests.projections.test_verify import verified
from tests.projections.vandal import Vandal
from tests.support.program import Ended
from tests.support.writer import Writer


async def test_totals_of_either_generation_are_held_against_its_rows_when_two_are_compared(
    writer: Writer,
) -> None:
    await writer.register(4)
    async with projecting(writer, Signups()):
        await caught_up(writer.conninfo, name="signups")
    await rebuild(Signups(), writer.reader, writer.conninfo)
    assert (await proof.compare(writer.conninfo, Signups(), 2, 1))[0].holds
    rows(writer.conninfo, "UPDATE signups_v1_g1_totals SET users = users + 1 RETURNING 1")
    for generations in ((2, 1), (1, 2)):
        found, _ = await proof.compare(writer.conninfo, Signups(), *generations)
        assert (found.holds, found.differing) == (False, 0)
        assert found.disagreements == ["2026-01-02 enabled user in generation 1"]


async def test_the_users_with_the_first_and_the_last_id_there_is_are_verified_like_any_other(
    writer: Writer,
) -> None:
    first, last = UUID(int=0), UUID(int=2**128 - 1)
    for user in (first, last):
        await writer.append(user, writer.registered())
    async with projecting(writer):
        await caught_up(writer.conninfo)
    await rebuild(Users(), writer.reader, writer.conninfo)
    for model in READ_MODELS:
        found = await verified(writer, model)
        assert (found.holds, found.users) == (True, 2), found
    vandal = Vandal(writer, Users(), 1)
    for user in (first, last):
        vandal.change(user, "email")
    assert {found.user_id for found in (await verified(writer, Users())).differences} == {first, last}
    compared, _ = await proof.compare(writer.conninfo, Users(), 2, 1)
    assert {found.user_id for found in compared.differences} == {first, last}


async def test_a_look_at_users_leaves_the_word_about_totals_alone(writer: Writer) -> None:
    users = await writer.register(3)
    async with projecting(writer, Signups()):
        await caught_up(writer.conninfo, name="signups")
    rows(writer.conninfo, "UPDATE signups_v1_g1_totals SET users = users + 1 RETURNING 1")
    assert not (await verified(writer, Signups())).holds
    marked = "SELECT user_id FROM projection_differences"
    async with verifying(writer.conninfo, writer.reader, Signups(), 1) as verifier:
        await verifier.check_from(UUID(int=0), 100)
        assert rows(writer.conninfo, marked) == [(TOTALS,)]
        await verifier.check_these([*users, TOTALS])
        assert rows(writer.conninfo, marked) == [(TOTALS,)]
        rows(writer.conninfo, "UPDATE signups_v1_g1_totals SET users = users - 1 RETURNING 1")
        assert await verifier.disagreements() == []
    assert rows(writer.conninfo, marked) == []


async def test_one_user_is_written_anew_only_where_there_is_one_and_without_options_for_all(
    database: str,
) -> None:
    async with Writer(database) as writer:
        (ada,) = await writer.register()
        async with projecting(writer):
            await caught_up(database)

        async def anew(user: UUID, *options: str) -> Ended:
            arguments = ("projections", "rebuild", "users", "--user", str(user), *options)
            return await asyncio.to_thread(usersd, database, *arguments)

        nobody = uuid4()
        refused = await anew(nobody)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err == f"There is no user {nobody} in the log, nor are there rows of them in users.\n"
        for options in (
            ("--no-switch",),
            ("--full-speed",),
            ("--anew", "--parallel", "2"),
            ("--switch-anyway", "--rate", "9"),
        ):
            refused = await anew(ada, *options)
            assert (refused.code, "no other option" in refused.err) == (2, True), refused
        # Rows of somebody without events are what it takes away.
        invented = Vandal(writer, Users(), 1).add(ada)
        assert (await anew(invented)).code == 0
        assert (await verified(writer, Users())).holds
