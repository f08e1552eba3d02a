"""Invented users: real histories by the real append, the same for the same seed, and nothing twice."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import bcrypt
import psycopg
import pytest

from application.ports import Change, Recorded
from application.seeding import ForeignUsers, Seeded, SeedWanted
from domain import events
from domain.errors import OutcomeUnknown
from domain.user import User, evolve, fold
from domain.values import (
    Role,
    check_email,
    check_metadata,
    check_name,
    check_picture,
    check_tags,
    check_username,
)
from infrastructure.operations import seed as seeding
from infrastructure.operations.invented import DAYS, INVENTED, SECRET, SECRET_HASH, YEAR, Life, id_of, life
from infrastructure.operations.seed import PostgresSeeding, sow
from infrastructure.settings import load
from tests.projections.commanding import usersd
from tests.support.databases import ROOT_KEY, standing
from tests.support.truth import check_chain, read_log
from tests.support.writer import Writer

USERS = 400
MANY = [life(1, number, 3) for number in range(2000)]


def lived(one: Life) -> User:
    return fold(one.id, (act.event for act in one.acts))


def test_the_same_seed_invents_the_same_users_and_another_one_others() -> None:
    assert [life(1, number, 3) for number in range(20)] == MANY[:20]
    others = [life(2, number, 3) for number in range(2000)]
    assert {one.id for one in MANY}.isdisjoint(one.id for one in others)
    emails = [{lived(one).email for one in lives} for lives in (MANY, others)]
    assert emails[0].isdisjoint(emails[1])
    usernames = [{lived(one).username or str(one.id) for one in lives} for lives in (MANY, others)]
    assert usernames[0].isdisjoint(usernames[1])


def test_no_two_invented_users_share_a_name() -> None:
    for kind in ("email", "username"):
        taken = Counter(
            name.casefold()
            for one in MANY
            for act in one.acts
            if (name := getattr(act.event, kind, None)) and not isinstance(act.event, events.Verified)
        )
        assert set(taken.values()) == {1}


def test_what_is_invented_would_have_been_accepted_at_the_door() -> None:
    for one in MANY:
        user = User(id=one.id)
        for act in one.acts:
            user = evolve(user, act.event)
            names = (user.first_name, user.last_name, user.name)
            assert not [
                *check_email(user.email, ""),
                *(check_username(user.username, "") if user.username else ()),
                *(fault for name in names for fault in check_name(name, "", what="name")),
                *check_tags(user.tags, ""),
                *check_metadata(user.metadata, ""),
                *check_picture(user.profile_picture, ""),
            ]


def test_lives_are_as_long_as_asked_for_and_lie_within_the_year() -> None:
    assert sum(len(one.acts) for one in MANY) / len(MANY) == pytest.approx(3, abs=0.15)
    for one in MANY:
        times = [act.event.at for act in one.acts]
        assert times == sorted(times)
        assert times[0] >= YEAR
        assert times[-1] <= YEAR + timedelta(days=DAYS)


def test_all_sorts_of_things_happen_the_rare_ones_rarely() -> None:
    happened = Counter(type(act.event) for one in MANY for act in one.acts)
    assert set(happened) >= {
        events.Registered, events.Verified, events.ProfileUpdated, events.TagsChanged, events.PictureChanged,
        events.EmailChanged, events.SecretChanged, events.Disabled, events.Enabled, events.Deleted,
    }  # fmt: skip
    assert happened[events.Verified] > happened[events.Deleted] > 0
    standing_of = Counter((lived(one).status.value, lived(one).role.value) for one in MANY)
    assert standing_of["enabled", "user"] > 1500 > standing_of["disabled", "user"] > 20
    assert any(not lived(one).name.isascii() or not lived(one).email.isascii() for one in MANY)


def test_the_secret_is_the_one_that_is_told() -> None:
    assert bcrypt.checkpw(SECRET.encode(), SECRET_HASH.encode())


def test_an_id_tells_that_it_was_invented(database: str) -> None:
    ids = [id_of(1, 0), id_of(7, 123456), UUID("5f0c5e0a-6f0c-4b67-8d1f-0d5a4b6c7e8f")]
    with psycopg.connect(database) as connection:
        query = f"SELECT {INVENTED} FROM unnest(%s::uuid[]) AS user_id"
        assert [row[0] for row in connection.execute(query.encode(), (ids,))] == [True, True, False]
    assert all(each.version == 4 for each in ids)


async def sown(writer: Writer, users: int = USERS) -> Seeded:
    return await sow(writer.log, writer.conninfo, SeedWanted(users=users))


async def histories(conninfo: str) -> dict[UUID, list[events.Event]]:
    found: dict[UUID, list[events.Event]] = {}
    for recorded in await read_log(conninfo, ROOT_KEY):
        assert isinstance(recorded, Recorded)
        found.setdefault(recorded.user_id, []).append(recorded.event)
    return found


def wanted(lives: Iterable[Life]) -> dict[UUID, list[events.Event]]:
    return {one.id: [act.event for act in one.acts] for one in lives}


@asynccontextmanager
async def writing(conninfo: str) -> AsyncIterator[Writer]:
    async with Writer(conninfo) as writer:
        yield writer


async def test_the_log_holds_each_life_whole_and_the_accounts_can_be_used(database: str) -> None:
    async with writing(database) as writer:
        done = await sown(writer)
    assert (done.users, done.already, done.taken) == (USERS, 0, 0)
    assert await histories(database) == wanted(MANY[:USERS])
    with psycopg.connect(database) as connection:
        assert check_chain(connection) == done.events
        assert connection.execute("SELECT DISTINCT secret_hash FROM credentials").fetchall() == [
            (SECRET_HASH,)
        ]


async def test_called_again_it_makes_what_is_missing_and_nothing_twice(database: str) -> None:
    async with writing(database) as writer:
        first = await sown(writer, 150)
        second = await sown(writer, USERS)
        third = await sown(writer, USERS)
    assert (first.users, second.users, second.already, third.users) == (150, USERS - 150, 150, 0)
    assert await histories(database) == wanted(MANY[:USERS])


async def test_cut_short_in_the_middle_of_lives_it_goes_on_where_it_was(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeding, "CALLERS", 32)
    async with writing(database) as writer:
        for appends in (100, 333):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(writer.log, "append", _dying(writer.log.append, appends))
                with pytest.raises(ConnectionAbortedError):
                    await sown(writer)
        await sown(writer)
    assert await histories(database) == wanted(MANY[:USERS])


def _dying(append: Callable[[Change], Awaitable[int]], after: int) -> Callable[[Change], Awaitable[int]]:
    left = itertools.count(after, -1)

    async def dying(change: Change) -> int:
        if next(left) <= 0:
            raise ConnectionAbortedError
        return await append(change)

    return dying


async def test_an_append_whose_outcome_is_unknown_is_looked_up_not_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(database) as writer:
        append, number = writer.log.append, itertools.count(1)

        async def unsure(change: Change) -> int:
            position = await append(change)
            if next(number) % 7 == 0:
                raise OutcomeUnknown
            return position

        monkeypatch.setattr(writer.log, "append", unsure)
        await sown(writer, 60)
    assert await histories(database) == wanted(MANY[:60])


async def test_a_name_that_is_taken_leaves_out_that_user_alone(database: str) -> None:
    first = MANY[3].acts[0].event
    assert isinstance(first, events.Registered)
    async with writing(database) as writer:
        await writer.append(UUID(int=5), events.Registered(at=YEAR, email=first.email.upper()))
        done = await sown(writer, 20)
    assert (done.users, done.taken) == (19, 1)


async def test_a_database_with_real_users_is_refused_unless_forced(database: str) -> None:
    settings = load({"MG_USERS_BCRYPT_COST": "4"}).settings
    work = PostgresSeeding(standing(database), settings)
    few = SeedWanted(users=5)

    def seed(wanted: SeedWanted) -> Seeded:
        return work.seed(wanted, lambda step: None)

    # The first admin, whom every start makes, is nobody's real account.
    assert (await asyncio.to_thread(seed, few)).users == 5
    assert (await asyncio.to_thread(seed, few)).already == 5
    with psycopg.connect(database) as connection:
        admins = connection.execute("SELECT count(*) FROM credentials WHERE role = 'admin'").fetchone()
        assert admins == (2,)
    async with writing(database) as writer:
        await writer.register()
    with pytest.raises(ForeignUsers, match="--force"):
        await asyncio.to_thread(seed, few)
    forced = SeedWanted(users=6, force=True)
    assert (await asyncio.to_thread(seed, forced)).users == 1


def test_the_command_tells_the_secret_and_an_admin(database: str) -> None:
    done = usersd(database, "dev", "seed", "--users", "30", "--json")
    assert done.code == 0, done
    (row,) = done.rows
    assert (row["users"], row["secret"]) == (30, SECRET)
    first = MANY[0].acts[0].event
    assert isinstance(first, events.Registered)
    assert (row["admin"], first.role) == (first.email, Role.ADMIN)
    again = usersd(database, "dev", "seed", "--users", "30")
    assert (again.code, again.out) == (0, "")
    assert "made 0 users" in again.err
    assert "30 were there already" in again.err
