"""An event that cannot be applied stops its own user's stream, says so, and nobody else's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

import psycopg
import pytest

from domain import events
from infrastructure.operations.projections import PostgresOperations
from infrastructure.standing import open_keys
from projections.catalogue import READ_MODELS
from tests.projections.commanding import usersd
from tests.projections.projecting import caught_up, one, projecting, rows
from tests.support.databases import standing
from tests.support.service import SECRET, Client, running_service
from tests.support.writer import AT, Writer, envelope


class Poison(Protocol):
    """Puts a third event that cannot be applied behind a user's two; its position."""

    __name__: str

    def __call__(self, writer: Writer, user: UUID) -> int: ...


def unknown_name(writer: Writer, user: UUID) -> int:
    return writer.by_hand(user, "users.teleported.v1", version=3)


def wrong_type(writer: Writer, user: UUID) -> int:
    return writer.by_hand(user, "users.role_changed.v1", version=3, role=["admin"])


def no_json(writer: Writer, user: UUID) -> int:
    return writer.by_hand(user, "users.disabled.v1", version=3, state=b"\xff\xfe{")


def wrong_key(writer: Writer, user: UUID) -> int:
    key = writer.keys.keyring.new_user_key(user)
    assert key.cipher is not None
    return writer.by_hand(
        user, "users.profile_updated.v1", version=3, state=envelope(sealed=os.urandom(12 + 40))
    )


def cut_seal(writer: Writer, user: UUID) -> int:
    return writer.by_hand(user, "users.profile_updated.v1", version=3, state=envelope(sealed=b"\x01\x02"))


def missing_version(writer: Writer, user: UUID) -> int:
    return writer.by_hand(user, "users.disabled.v1", version=4)


POISONS: list[tuple[Poison, str, str]] = [
    (unknown_name, "unknown_event", "unknown_event"),
    (wrong_type, "ValidationError", "history_unreadable"),
    (no_json, "DecodeError", "history_unreadable"),
    (wrong_key, "SealBroken", "history_unreadable"),
    (cut_seal, "SealBroken", "history_unreadable"),
    (missing_version, "Gap", "history_unreadable"),
]


@pytest.fixture
async def client(any_database: str) -> AsyncIterator[Client]:
    async with running_service(any_database) as ready:
        yield ready


@pytest.mark.parametrize(("poison", "reason", "code"), POISONS, ids=[case[0].__name__ for case in POISONS])
async def test_poison_parks_one_stream_and_the_others_go_on(
    client: Client, writer: Writer, poison: Poison, reason: str, code: str
) -> None:
    ada, bob = await client.register(), await client.register()
    admin, of_ada = await client.as_admin(), await client.as_user(ada["email"])
    await client.http.patch(f"/users/{ada['id']}", json={"first_name": "Augusta"}, headers=of_ada)
    position = poison(writer, UUID(ada["id"]))
    await caught_up(writer.conninfo)
    writer.by_hand(UUID(ada["id"]), "users.deleted.v1", version=5)
    answer = await client.http.patch(f"/users/{bob['id']}", json={"first_name": "Robert"}, headers=admin)
    assert answer.status_code == 200
    assert "usersd-read-model" not in answer.headers
    await caught_up(writer.conninfo)

    refused = await client.http.get("/users/profile", headers=of_ada)
    assert (refused.status_code, refused.json()["code"]) == (503, code)
    listed = (await client.http.get("/users", headers=admin)).json()["users"]
    names = {user["id"]: (user["first_name"], user["status"]) for user in listed}
    # What came before the poison is shown in lists, what came after it waits.
    assert names[ada["id"]] == ("Augusta", "enabled")
    assert names[bob["id"]] == ("Robert", "enabled")
    parked = {
        line.projection: line
        for line in PostgresOperations(
            standing(writer.conninfo), await asyncio.to_thread(open_keys, standing(writer.conninfo))
        ).parked()
    }
    found = parked["users"]
    assert (str(found.user_id), found.position, found.reason) == (ada["id"], position, reason)
    assert found.event_name == one(writer.conninfo, "SELECT name FROM events WHERE position = %s", position)
    timeline = one(writer.conninfo, "SELECT max(version) FROM history_v1 WHERE user_id = %s", ada["id"])
    assert timeline == 2
    assert parked["history"].position == position


async def test_a_poisoned_user_can_neither_be_changed_nor_stop_others_from_logging_in(
    client: Client, writer: Writer
) -> None:
    ada, bob = await client.register(), await client.register()
    of_ada = await client.as_user(ada["email"])
    unknown_name(writer, UUID(ada["id"]))
    refused = await client.http.patch(f"/users/{ada['id']}", json={"first_name": "X"}, headers=of_ada)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert await client.login(bob["email"], SECRET)


async def test_several_poisoned_users_in_one_page_are_parked_each_for_itself(writer: Writer) -> None:
    users = await writer.register(8)
    await asyncio.gather(*(writer.rename(user) for user in users))
    wanted = {
        (users[0], unknown_name(writer, users[0]), "unknown_event"),
        (users[1], wrong_type(writer, users[1]), "ValidationError"),
        (users[2], missing_version(writer, users[2]), "Gap"),
    }
    await asyncio.gather(*(writer.rename(user) for user in users[3:]))
    async with projecting(writer):
        await caught_up(writer.conninfo)
    parked = rows(
        writer.conninfo, "SELECT user_id, position, reason FROM parked_streams WHERE projection = 'users'"
    )
    assert set(parked) == wanted
    versions = dict(rows(writer.conninfo, "SELECT id, version FROM users_v1"))
    assert versions == {user: 2 if user in users[:3] else 3 for user in users}


@pytest.mark.parametrize("refusal", ["check_violation", "program_limit_exceeded", "untranslatable_character"])
async def test_a_row_that_the_database_refuses_is_found_among_many_and_parked_alone(
    writer: Writer, refusal: str
) -> None:
    _refuse(writer, refusal)
    known = await writer.register(20)
    refused = [*await writer.register(email="refused1@example.com"),
               *await writer.register(email="refused2@example.com")]  # fmt: skip
    more = await writer.register(20)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        found = rows(writer.conninfo, "SELECT user_id, projection, version FROM parked_streams")
        assert sorted(found) == sorted((user, "users", 1) for user in refused)
        await writer.rename(refused[0])
        await writer.rename(known[0])
        await caught_up(writer.conninfo)
    versions = dict(rows(writer.conninfo, "SELECT id, version FROM users_v1"))
    assert versions == dict.fromkeys(known + more, 1) | {known[0]: 2}


def _refuse(writer: Writer, refusal: str) -> None:
    with psycopg.connect(writer.conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION welcome(email text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
            f" IF email LIKE 'refused%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '{refusal}'; END IF;"
            " RETURN true; END $$".encode()
        )
        connection.execute("ALTER TABLE users_v1_g1 ADD CHECK (welcome(email))")


async def test_the_status_shows_where_a_stream_is_parked_and_ends_with_1(writer: Writer) -> None:
    (ada,) = await writer.register()
    await writer.rename(ada)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    # A projection that stands right before what nobody can read has a lag like any other.
    position = no_json(writer, ada)
    lagging = await asyncio.to_thread(usersd, writer.conninfo, "projections", "status", "--json")
    assert lagging.code == 0, lagging
    assert {row["lag_events"] for row in lagging.rows if row["kind"] == "generation"} == {1}
    async with projecting(writer):
        await caught_up(writer.conninfo)
        shown = await asyncio.to_thread(usersd, writer.conninfo, "projections", "status", "--json")
    assert shown.code == 1, shown
    by_name = {row["name"]: row for row in shown.rows if row["kind"] == "generation"}
    assert by_name["users"]["parked"] == by_name["history"]["parked"] == 1
    parked = [row for row in shown.rows if row["kind"] == "parked"]
    assert {(row["user_id"], row["position"], row["event_name"], row["reason"]) for row in parked} == {
        (str(ada), position, "users.disabled.v1", "DecodeError")
    }


async def test_the_status_of_healthy_projections_ends_with_0(writer: Writer) -> None:
    await writer.append((await writer.register())[0], events.Disabled(at=AT))
    async with projecting(writer):
        await caught_up(writer.conninfo)
        shown = await asyncio.to_thread(usersd, writer.conninfo, "projections", "status", "--json")
    assert shown.code == 0, shown
    assert {row["name"]: row["lag_events"] for row in shown.rows} == dict.fromkeys(
        (model.name for model in READ_MODELS), 0
    )
