"""Accounts come through the append of every command: whole, once, and with whatever keeps one out named."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from argon2.low_level import Type, hash_secret

from application.import_runs import ImportWanted, Settled
from application.importing import Account, SourceLost, faults
from domain.errors import OutcomeUnknown
from domain.values import Role, Status
from infrastructure.event_store.log import PostgresEventLog
from infrastructure.importing import ahead, bringing
from infrastructure.importing.bringing import bring
from infrastructure.standing import open_keys
from tests.importing.accounts import BCRYPT, SECRET, Rows, brought, imports_in, row
from tests.importing.test_foreign_hashes import HASHES
from tests.support.databases import ROOT_KEY, standing
from tests.support.service import Client, running_service
from tests.support.truth import check_chain, read_log
from tests.support.waiting import eventually

EVERYTHING: dict[str, Any] = {
    "id": "6b1c9a4e-6f0a-4b53-9d6a-0d6b1b1f8a01",
    "email": "Ada.Lovelace@Example.com",
    "username": "Ada Lovelace",
    "first_name": "Ада",
    "last_name": "Lovelace",
    "name": "Countess",
    "tags": ["a", "b"],
    "metadata": {"a": [1, 2.5, None, {"b": "ß"}]},
    "private_metadata": {"seen": True},
    "profile_picture": "https://example.com/a.png",
    "status": "disabled",
    "role": "admin",
    "dialect": "mainflux",
    "auth_provider": "google",
    "created_at": "2020-02-29T23:59:59.999999+02:00",
    "updated_at": "2021-01-01T00:00:00",
    "updated_by": "somebody",
    "verified_at": "2020-03-01T00:00:00Z",
    "secret_hash": BCRYPT,
}


async def test_an_account_keeps_everything_it_had(database: str) -> None:
    run = await brought(database, [EVERYTHING])
    assert run.codes == ["imported"]
    event = (await imports_in(database))[UUID(EVERYTHING["id"])]
    times = {"created_at": datetime(2020, 2, 29, 21, 59, 59, 999999, UTC),
             "updated_at": datetime(2021, 1, 1, tzinfo=UTC),
             "verified_at": datetime(2020, 3, 1, tzinfo=UTC)}  # fmt: skip
    kept = EVERYTHING | times | {"status": Status.DISABLED, "role": Role.ADMIN}
    for field in kept.keys() - {"id", "secret_hash"}:
        assert getattr(event, field) == kept[field], field
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT secret_hash, status, role, verified FROM credentials").fetchall()
        assert rows == [(BCRYPT, "disabled", "admin", True)]
        assert check_chain(connection) == 1
    (recorded,) = await read_log(database, ROOT_KEY)
    assert getattr(recorded, "actor").kind == "operator"  # noqa: B009 - it may be Unreadable


async def test_an_imported_admin_was_an_admin_there_and_no_other_is_made(database: str) -> None:
    await brought(database, [row(1, role="admin")])
    async with running_service(database) as client:
        headers = await client.as_user("user1", SECRET)

        async def alone() -> bool:
            answer = await client.http.get("/users", headers=headers)
            return [user["email"] for user in answer.json()["users"]] == ["user1@example.com"]

        await eventually(alone)


async def test_every_kind_of_hash_opens_over_http_and_is_replaced(database: str) -> None:
    rows = [row(n, secret_hash=hashed) for n, hashed in enumerate(HASHES.values())]
    async with running_service(database) as client:
        assert (await brought(database, rows)).brought.imported == len(rows)
        for number in range(len(rows)):
            body = {"identity": f"user{number}@example.com", "secret": SECRET + "x"}
            assert (await client.http.post("/users/tokens/issue", json=body)).status_code == 401
            await client.login(f"user{number}@example.com", SECRET)
            await client.login(f"user{number}", SECRET)
        with psycopg.connect(database) as connection:
            left = connection.execute(
                "SELECT count(*) FROM credentials WHERE secret_hash !~ '^\\$2[aby]\\$04'"
            ).fetchone()
        assert left == (0,)


async def test_a_secret_too_long_for_our_hash_stays_under_its_own(database: str) -> None:
    long = "a secret of more than seventy-two bytes, as our own hash could not keep one, ever"
    hashed = hash_secret(long.encode(), b"0123456789abcdef", 1, 64, 1, 32, Type.ID).decode()
    async with running_service(database) as client:
        await brought(database, [row(1, secret_hash=hashed)])
        for _ in range(2):
            await client.login("user1", long)


async def test_what_is_imported_beside_a_running_service_is_listed(client: Client, database: str) -> None:
    await brought(database, [row(number) for number in range(30)])
    headers = await client.as_admin()

    async def listed() -> bool:
        answer = await client.http.get("/users?limit=1", headers=headers)
        return bool(answer.json()["total"] == 31)

    await eventually(listed)
    body = client.account(email="USER7@example.com")
    assert (await client.http.post("/users", json=body)).status_code == 409


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": str(UUID(int=0))}, "/id"),
        ({"email": "no email"}, "/email"),
        ({"email": "a\x00@example.com"}, "/email"),
        ({"username": "a@example.com"}, "/username"),
        ({"username": ""}, "/username"),
        ({"username": "a\x00"}, "/username"),
        ({"first_name": "a\x00"}, "/first_name"),
        ({"name": "x" * 255}, "/name"),
        ({"tags": ["\x07"]}, "/tags/0"),
        ({"metadata": {"a": "\x00"}}, "/metadata"),
        ({"metadata": {"a": 2**80}}, "/metadata"),
        ({"private_metadata": {"a\x00": 1}}, "/private_metadata"),
        ({"profile_picture": "not a url"}, "/profile_picture"),
        ({"auth_provider": "a\x00"}, "/auth_provider"),
        ({"updated_by": "a\x00"}, "/updated_by"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "/created_at"),
        ({"updated_at": "9999-12-31T23:59:59-14:00"}, "/updated_at"),
        ({"secret_hash": "5f4dcc3b5aa765d61d8327deb882cf99"}, "/secret_hash"),
    ],
)
def test_what_cannot_be_kept_is_named(changes: dict[str, Any], pointer: str) -> None:
    account = msgspec.convert(row(1, **changes), Account)
    found = list(faults(account, hash_flaw=lambda hashed: None if hashed.startswith("$") else "no hash"))
    assert [fault.pointer for fault in found] == [pointer]


async def test_what_cannot_be_kept_keeps_nobody_else_out(database: str) -> None:
    rows = [row(1), row(2, email="no email", secret_hash="md5"), row(3)]
    run = await brought(database, rows)
    assert run.codes == ["imported", "invalid", "imported"]
    assert [fault.pointer for fault in run.settled[1].faults] == ["/email", "/secret_hash"]
    assert "md5" not in str(run.settled)
    assert len(run.brought.reasons) == 2


async def test_two_imports_at_once_bring_nothing_twice(database: str) -> None:
    rows = [row(number) for number in range(1500)]
    one, other = await asyncio.gather(brought(database, rows), brought(database, rows))
    assert len(await imports_in(database)) == len(rows)
    assert one.brought.imported + other.brought.imported == len(rows)
    assert one.brought.already + other.brought.already == len(rows)


async def test_an_append_whose_outcome_is_unknown_is_looked_up_not_repeated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = PostgresEventLog.append

    async def unsure(self: PostgresEventLog, change: Any) -> int:
        position = await append(self, change)
        if change.after.id.int % 7 == 0:
            raise OutcomeUnknown
        return position

    monkeypatch.setattr(PostgresEventLog, "append", unsure)
    rows = [row(number) for number in range(100)]
    assert (await brought(database, rows)).codes == ["imported"] * 100
    assert len(await imports_in(database)) == 100


class Lost(Rows):
    """A source that goes away in the middle."""

    def offered(self, after: int = 0) -> Any:
        for offered in super().offered(after):
            if offered.place == 40:
                raise SourceLost("It went away.")
            yield offered


async def test_what_a_source_offered_before_it_was_lost_is_brought_in(database: str) -> None:
    rows = [row(number) for number in range(60)]
    heard: list[Settled] = []
    keys = open_keys(standing(database))
    with pytest.raises(SourceLost):
        await bring(database, keys, Lost(rows), ImportWanted(), lambda offered, one: heard.append(one))
    assert [each.place for each in heard] == list(range(1, 40))
    assert len(await imports_in(database)) == 39
    assert (await brought(database, rows)).brought.already == 39


async def test_an_import_that_is_ended_says_how_far_it_came_and_goes_on(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "CHUNK", 50)
    monkeypatch.setattr(bringing, "IN_FLIGHT", 20)
    rows = [row(number) for number in range(400)]
    end, keys = asyncio.Event(), open_keys(standing(database))

    def progress(done: int) -> None:
        if done == 120:
            end.set()

    done = await bring(database, keys, Rows(rows), ImportWanted(), progress=progress, end=end)
    assert done.stopped
    assert 120 <= done.rows == done.last_place < 400
    assert len(await imports_in(database)) == done.imported == done.rows
    again = await brought(database, rows)
    assert (again.brought.already, again.brought.imported) == (done.rows, 400 - done.rows)


async def test_a_rate_is_kept(database: str) -> None:
    rows = [row(number) for number in range(200)]
    await brought(database, rows[:100])
    run = await brought(database, rows, rate=200)
    assert run.brought.seconds >= 0.38
    assert (run.brought.already, run.brought.imported) == (100, 100)


async def test_connections_that_are_lost_in_the_middle_cost_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "CHUNK", 100)
    rows = [row(number) for number in range(1000)]

    def progress(done: int) -> None:
        if done % 300 == 0:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    done = await bring(database, open_keys(standing(database)), Rows(rows), ImportWanted(), progress=progress)
    assert (done.imported, done.already, done.refused) == (1000, 0, 0)
    assert len(await imports_in(database)) == 1000
