"""What operators do about a parked stream: look, try again, go on without an event, write rows anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from application.projections import NothingParked
from domain import events
from projections import proof
from projections.catalogue import READ_MODELS
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from projections.repair import built, discard, repair, undo_discard
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, one, projecting, rows
from tests.projections.test_poison import POISONS, Poison
from tests.support.writer import AT, Writer

each_model = pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
each_poison = pytest.mark.parametrize("poison", [case[0] for case in POISONS], ids=lambda made: made.__name__)


@pytest.fixture
async def lately(database: str) -> AsyncIterator[Writer]:
    """Appends to a log on the later PostgreSQL alone: what is shown does not hang on the SQL."""
    async with Writer(database) as ready:
        yield ready


async def connected(writer: Writer) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True)


async def holds(writer: Writer) -> bool:
    """Every generation of every read model is what the log says, and nothing is parked."""
    async with await connected(writer) as connection:
        for model in READ_MODELS:
            for number in await built(connection, model):
                found = await proof.verify(writer.conninfo, writer.reader, model, number)
                assert found.holds, found
    return not rows(writer.conninfo, "SELECT 1 FROM parked_streams")


async def discarded(writer: Writer, user: UUID, *models: ReadModel) -> None:
    async with await connected(writer) as connection:
        for model in models:
            done = await discard(connection, writer.reader, model, user, "a broken import", "somebody")
            assert {row.parked_at for row in done} == {None}


@each_poison
async def test_the_read_models_go_on_without_a_discarded_event_in_every_generation(
    lately: Writer, poison: Poison
) -> None:
    writer = lately
    ada, bob = await writer.register(2)
    await writer.rename(ada)
    poison(writer, ada)
    last = one(writer.conninfo, "SELECT max(version) FROM events WHERE stream_id = %s", ada)
    writer.by_hand(ada, "users.disabled.v1", version=last + 1)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await rebuild(READ_MODELS[0], writer.reader, writer.conninfo)
        assert one(writer.conninfo, "SELECT count(DISTINCT position) FROM parked_streams") == 1
        await discarded(writer, ada, *READ_MODELS)
        # The owner, who knew the stream as parked, goes on with it.
        writer.by_hand(ada, "users.enabled.v1", version=last + 2)
        await writer.rename(bob)
        await caught_up(writer.conninfo)
        assert await holds(writer)
        for model in READ_MODELS:
            await rebuild(model, writer.reader, writer.conninfo)
        assert await holds(writer)
    shown = rows(writer.conninfo, "SELECT version, status FROM users_v1 ORDER BY version DESC")
    assert shown[0] == (last + 2, "enabled")
    told = rows(
        writer.conninfo, f"SELECT convert_from(entry, 'utf8') FROM history_v1 WHERE user_id = '{ada}'"
    )
    assert sum('"discarded"' in entry for (entry,) in told) == 1
    recorded = "SELECT DISTINCT reason, by FROM discarded_events WHERE user_id = %s"
    assert rows(writer.conninfo, recorded.replace("%s", f"'{ada}'")) == [("a broken import", "somebody")]


async def test_a_discard_is_taken_back_when_a_version_comes_that_can_read_the_event(lately: Writer) -> None:
    writer = lately
    (ada,) = await writer.register()
    position = writer.by_hand(ada, "users.teleported.v1", version=2)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await discarded(writer, ada, *READ_MODELS)
        writer.keys.mapper.upcast(
            "users.teleported.v1", events.ProfileUpdated, lambda fields: {"first_name": "T"}
        )
        async with await connected(writer) as connection:
            with pytest.raises(NothingParked):
                await undo_discard(connection, writer.reader, READ_MODELS[0], position + 1)
            for model in READ_MODELS:
                assert await undo_discard(connection, writer.reader, model, position)
        assert await holds(writer)
    assert rows(writer.conninfo, "SELECT version, first_name FROM users_v1") == [(2, "t")]
    assert not rows(writer.conninfo, "SELECT 1 FROM discarded_events")


async def test_to_discard_the_first_event_leaves_the_user_out(lately: Writer) -> None:
    writer = lately
    ada, bob = await writer.register(2)
    lost = UUID(int=7)
    writer.by_hand(lost, "users.registered.v1", version=1, email=["no", "text"])
    writer.by_hand(lost, "users.disabled.v1", version=2)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await discarded(writer, lost, *READ_MODELS)
        writer.by_hand(lost, "users.enabled.v1", version=3)
        await writer.rename(bob)
        await caught_up(writer.conninfo)
        await rebuild(READ_MODELS[0], writer.reader, writer.conninfo)
        assert await holds(writer)
    assert {user for (user,) in rows(writer.conninfo, "SELECT id FROM users_v1")} == {ada, bob}
    assert {user for (user,) in rows(writer.conninfo, "SELECT user_id FROM history_v1")} == {ada, bob}


@each_model
async def test_a_retry_counts_until_it_works_and_then_the_owner_goes_on(
    writer: Writer, model: ReadModel
) -> None:
    (ada,) = await writer.register()
    position = writer.by_hand(ada, "users.teleported.v1", version=2)
    async with projecting(writer), await connected(writer) as connection:
        await caught_up(writer.conninfo)
        tried = await repair(connection, writer.reader, model, 1, ada)
        assert (tried.was_parked, tried.parked_at, tried.reason) == (True, position, "unknown_event")
        attempts = "SELECT attempts FROM parked_streams WHERE projection = %s"
        assert one(writer.conninfo, attempts, model.name) == 2
        writer.keys.mapper.upcast(
            "users.teleported.v1", events.ProfileUpdated, lambda fields: {"first_name": "T"}
        )
        await writer.rename(ada)
        tried = await repair(connection, writer.reader, model, 1, ada)
        assert (tried.was_parked, tried.parked_at) == (True, None)
        assert one(writer.conninfo, attempts, model.name) is None
        await writer.rename(ada)
        await caught_up(writer.conninfo)
    assert one(writer.conninfo, f"SELECT max(version) FROM {model.name}_v1") == 4


async def test_the_very_event_is_named_that_makes_the_database_refuse_a_row(writer: Writer) -> None:
    (ada,) = await writer.register()
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE users_v1_g1 ADD CHECK (first_name NOT LIKE 'refused%')")
    named = ("one", "two", "refused", "three")
    positions = [
        await writer.append(ada, events.ProfileUpdated(at=AT, first_name=name)) for name in named[:3]
    ]
    async with projecting(writer), await connected(writer) as connection:
        await caught_up(writer.conninfo)
        assert rows(writer.conninfo, "SELECT position, projection, reason FROM parked_streams") == [
            (positions[2], "users", "CheckViolation")
        ]
        assert one(writer.conninfo, "SELECT first_name FROM users_v1") == "two"
        # What a later event puts right was wrong all the same: the stream goes on when it is tried again.
        await writer.append(ada, events.ProfileUpdated(at=AT, first_name=named[3]))
        await caught_up(writer.conninfo)
        assert one(writer.conninfo, "SELECT first_name FROM users_v1") == "two"
        assert (await repair(connection, writer.reader, READ_MODELS[0], 1, ada)).parked_at is None
    assert one(writer.conninfo, "SELECT first_name FROM users_v1") == "three"
    assert await holds(writer)


async def test_parked_users_are_verified_up_to_what_stopped_them(lately: Writer) -> None:
    writer = lately
    ada, _ = await writer.register(2)
    await writer.rename(ada)
    writer.by_hand(ada, "users.teleported.v1", version=3)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    for model in READ_MODELS:
        found = await proof.verify(writer.conninfo, writer.reader, model, 1)
        assert (found.holds, found.parked, found.users) == (True, 1, 2), found
    rows(writer.conninfo, f"UPDATE users_v1_g1 SET role = 'x' WHERE id = '{ada}' RETURNING 1")
    (wrong,) = (await proof.verify(writer.conninfo, writer.reader, READ_MODELS[0], 1)).differences
    assert (wrong.user_id, wrong.columns) == (ada, ["role"])
    # A stream that cannot be read any more, and is not parked, is no less a finding.
    rows(writer.conninfo, "DELETE FROM parked_streams RETURNING 1")
    (wrong,) = (await proof.verify(writer.conninfo, writer.reader, READ_MODELS[1], 1)).differences
    assert (wrong.user_id, wrong.unreadable) == (ada, 4)


async def test_an_erased_user_is_never_parked(lately: Writer) -> None:
    writer = lately
    gone, _ = await writer.register(2)
    writer.by_hand(gone, "users.teleported.v1", version=2)
    writer.forget(gone)
    writer.by_hand(gone, "users.erasure_requested.v1", version=3)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await rebuild(READ_MODELS[0], writer.reader, writer.conninfo)
        assert await holds(writer)
    assert one(writer.conninfo, "SELECT count(*) FROM users_v1") == 1


async def test_the_commands_show_try_again_and_discard(database: str) -> None:
    async with Writer(database) as writer:
        (ada,) = await writer.register()
        position = writer.by_hand(ada, "users.role_changed.v1", version=2, role=["admin"])
        writer.by_hand(ada, "users.disabled.v1", version=3)
        async with projecting(writer):
            await caught_up(database)

            async def run(*arguments: str) -> tuple[int, str, str]:
                done = await asyncio.to_thread(usersd, database, "projections", "parked", *arguments)
                return done.code, done.out, done.err

            code, out, err = await run("list", "--json")
            assert (code, out.count('"kind":"parked"'), err) == (0, 3, ""), out
            code, out, _ = await run("show", "users", str(ada))
            assert code == 0
            assert "ValidationError" in out
            assert f"{position}  " in out
            assert "users.disabled.v1" in out
            assert "example.com" not in out
            code, _, err = await run("retry", "users", str(ada))
            told = f"users: generation 1: user {ada} is parked at position {position} (ValidationError)\n"
            assert (code, err) == (1, told)
            assert (await run("retry", "users"))[0] == 2
            assert (await run("discard", "users", str(ada), "--reason", " "))[0] == 2
            code, _, err = await run("discard", "users", str(ada), "--reason", "import of March")
            assert (code, err) == (0, f"users: generation 1: user {ada} is up to date\n")
            code, out, _ = await run("list", "--json")
            assert '"kind":"discarded"' in out
            assert "import of March" in out
            code, _, err = await run("undo-discard", "users", str(position))
            assert (code, err) == (1, told)
