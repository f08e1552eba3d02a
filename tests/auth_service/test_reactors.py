"""What the platform hears of users: their policies in SpiceDB, and their end in the Domains service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import AsyncConnectionPool

from application.commands.erase_user import EraseUser
from application.messages import Context
from domain.access import OPERATOR
from domain.values import Role, Status
from infrastructure.auth_service.policies import CONCERNS, updates_for
from infrastructure.auth_service.reactor import NotTold, Reactor
from tests.support.platform.world import Platform
from tests.support.service import Client
from tests.support.waiting import eventually

ADA = UUID(int=1)
PATIENT = 30.0


async def value(client: Client, query: LiteralString) -> object:
    async with client.service.pool.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
    return row[0] if row else None


def by_operator() -> Context:
    command_id = uuid4()
    return Context(actor=OPERATOR, at=datetime.now(UTC), command_id=command_id, correlation_id=command_id)


async def relations_are(around: Platform, user_id: str, expected: set[str]) -> None:
    async def they_are() -> bool:
        return around.spicedb.of(user_id) == expected

    await eventually(they_are, within=PATIENT)


async def test_a_deleted_user_is_no_member_and_a_restored_one_is_again(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    await relations_are(around, user["id"], {"member"})
    admin = await client.as_admin()
    await client.http.post(f"/users/{user['id']}/disable", headers=admin)
    await client.http.delete(f"/users/{user['id']}", headers=admin)
    await relations_are(around, user["id"], set())
    assert user["id"] not in around.domains.told
    answer = await client.http.post(f"/users/{user['id']}/enable", headers=admin)
    assert answer.status_code == 200, answer.text
    await relations_are(around, user["id"], {"member"})


async def test_an_erased_user_leaves_nothing_and_domains_is_told_until_it_deletes(
    client: Client, around: Platform
) -> None:
    user, other = await client.register(), await client.register()
    await relations_are(around, user["id"], {"member"})
    around.spicedb.tuples.add(("group:one", "viewer", f"user:{user['id']}"))
    around.domains.deletes = False
    for one in (user, other):
        await client.service.bus.dispatch(EraseUser(user_id=UUID(one["id"])), by_operator())
    await relations_are(around, user["id"], set())

    async def refused() -> bool:
        # Nobody waits for the one who was refused.
        return {user["id"], other["id"]} <= set(around.domains.told)

    await eventually(refused, within=PATIENT)
    stuck = await value(client, "SELECT position FROM reactors WHERE name = 'domains'")

    async def noted() -> bool:
        return bool(await value(client, "SELECT last_error FROM reactors WHERE name = 'domains'"))

    await eventually(noted, within=PATIENT)
    around.domains.deletes = True

    async def went_on() -> bool:
        now = await value(client, "SELECT position FROM reactors WHERE name = 'domains'")
        return isinstance(now, int) and isinstance(stuck, int) and now > stuck

    await eventually(went_on, within=PATIENT)


async def test_whoever_is_shut_out_has_no_session_left_at_the_auth_service(
    client: Client, around: Platform
) -> None:
    shut, left = await client.register(), await client.register()
    for user in (shut, left):
        await client.login(user["email"])
    answer = await client.http.post(f"/users/{shut['id']}/disable", headers=await client.as_admin())
    assert answer.status_code == 200

    async def gone() -> bool:
        owners = {owner for owner, _ in around.auth.sessions.values()}
        return shut["id"] not in owners and left["id"] in owners

    await eventually(gone, within=PATIENT)


async def test_whoever_was_there_before_the_platform_was_joined_is_written_too(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    await relations_are(around, user["id"], {"member"})
    around.spicedb.tuples.clear()
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = client.service.pool

    async def rewound() -> bool:
        async with pool.connection() as connection:
            await connection.execute("UPDATE reactors SET position = 0 WHERE name = 'policies'")
        return around.spicedb.has(user["id"], "member")

    await eventually(rewound, within=PATIENT)


def test_what_a_user_is_follows_from_the_account_alone() -> None:
    def there(status: Status, role: Role) -> set[str]:
        touched = [one for one in updates_for(ADA, (status, role)) if one.operation == one.OPERATION_TOUCH]
        return {one.relationship.relation for one in touched}

    for status in (Status.ENABLED, Status.DISABLED):
        assert there(status, Role.USER) == {"member"}
        assert there(status, Role.ADMIN) == {"member", "administrator"}
    for status in (Status.DELETED, Status.ERASED):
        assert there(status, Role.ADMIN) == set()
    removed = list(updates_for(ADA, None))
    assert all(one.operation == one.OPERATION_DELETE for one in removed)
    assert len(removed) == 2


class Never:
    """Wakes nobody up."""

    async def wait(self, within: float) -> bool:
        return False


async def test_of_two_reactors_one_tells_and_the_other_takes_over(client: Client) -> None:
    user = await client.register()
    told: dict[str, list[UUID]] = {"first": [], "second": []}

    def reactor(who: str) -> Reactor:
        async def tell(users: Sequence[UUID]) -> None:
            told[who] += users

        return Reactor("a test", CONCERNS, tell, client.service.pool.conninfo, Never())

    async def hears(who: str, user_id: str) -> None:
        async def heard() -> bool:
            return UUID(user_id) in told[who]

        await eventually(heard, within=PATIENT)

    first = asyncio.create_task(reactor("first").run())
    await hears("first", user["id"])
    second = asyncio.create_task(reactor("second").run())
    another = await client.register()
    await hears("first", another["id"])
    assert told["second"] == []
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    third = await client.register()
    await hears("second", third["id"])
    assert UUID(user["id"]) not in told["second"]
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_whoever_is_not_taken_is_told_of_again(client: Client) -> None:
    users = [await client.register() for _ in range(3)]
    ids = {UUID(user["id"]) for user in users}
    taken: set[UUID] = set()
    refusals = 0

    async def tell(some: Sequence[UUID]) -> None:
        nonlocal refusals
        if UUID(users[0]["id"]) in some and refusals < 2:
            refusals += 1
            raise NotTold("somebody was not taken")
        taken.update(some)

    running = asyncio.create_task(
        Reactor("another test", CONCERNS, tell, client.service.pool.conninfo, Never()).run()
    )

    async def all_taken() -> bool:
        return ids <= taken

    await eventually(all_taken, within=PATIENT)
    assert refusals == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
