"""The sweep: whose grace is over goes, once over all replicas, in batches; and it says what it did."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain.access import SYSTEM
from domain.values import Status
from interfaces.scheduler import Job, Scheduler
from tests.erasure.world import MONTH, World, running_world
from tests.nats.broker import Broker

MOMENT = timedelta(seconds=1)


async def deleted(world: World, count: int = 1) -> list[UUID]:
    """Accounts that an admin has just deleted."""
    admin = await world.client.as_admin()
    users = [UUID((await world.client.register())["id"]) for _ in range(count)]
    for user_id in users:
        answer = await world.client.http.delete(f"/users/{user_id}", headers=admin)
        assert answer.status_code == 204, answer.text
    return users


async def swept(world: World) -> dict[Status, int]:
    """One sweep beyond the one that only reports; how many went, by kind."""
    return {done.kind: done.erased for done in await world.service.erasure.sweep.sweep(SYSTEM)}


async def first_sweep(world: World) -> None:
    await world.service.erasure.sweep.run()


def status(world: World, user_id: UUID) -> str:
    return str(world.one("SELECT status FROM credentials WHERE user_id = %s", user_id))


async def test_it_erases_whose_grace_is_over_and_nobody_before(world: World) -> None:
    await first_sweep(world)
    (user_id,) = await deleted(world)
    world.clock.ahead = MONTH - timedelta(minutes=1)
    assert await swept(world) == {Status.DELETED: 0}
    assert status(world, user_id) == "deleted"
    world.clock.ahead = MONTH + MOMENT
    assert await swept(world) == {Status.DELETED: 1}
    assert status(world, user_id) == "erased"
    assert await swept(world) == {Status.DELETED: 0}, "it does not spin and finds nobody twice"


async def test_the_first_sweep_of_a_kind_only_reports(world: World) -> None:
    (user_id,) = await deleted(world)
    world.clock.ahead = MONTH + MOMENT
    assert await world.service.erasure.sweep.run() == "deleted: 1 are due; a kind's first sweep only reports"
    assert status(world, user_id) == "deleted"
    assert await world.service.erasure.sweep.run() == "deleted: 1 erased"


async def test_it_takes_deleted_admins_too(world: World) -> None:
    await first_sweep(world)
    admin = await world.client.as_admin()
    (user_id,) = [UUID((await world.client.register())["id"])]
    path = f"/users/{user_id}"
    answer = await world.client.http.patch(f"{path}/role", json={"role": "admin"}, headers=admin)
    assert answer.status_code == 200
    assert (await world.client.http.delete(path, headers=admin)).status_code == 204
    world.clock.ahead = MONTH + MOMENT
    assert await swept(world) == {Status.DELETED: 1}


async def test_who_was_restored_stays_and_a_later_deletion_begins_a_new_grace(world: World) -> None:
    await first_sweep(world)
    (user_id,) = await deleted(world)
    admin = await world.client.as_admin()
    answer = await world.client.http.post(f"/users/{user_id}/enable", headers=admin)
    assert answer.json()["status"] == "enabled"
    world.clock.ahead = MONTH + MOMENT
    assert await swept(world) == {Status.DELETED: 0}
    admin = await world.client.as_admin()
    assert (await world.client.http.delete(f"/users/{user_id}", headers=admin)).status_code == 204
    world.execute("UPDATE credentials SET since = now() - interval '1 year' WHERE user_id = %s", user_id)
    assert await swept(world) == {Status.DELETED: 0}, "the log decides, whatever a table says"
    assert status(world, user_id) == "deleted"


async def test_accounts_go_in_batches_and_a_stop_is_heard_between_two(world: World) -> None:
    await first_sweep(world)
    users = await deleted(world, 7)
    world.clock.ahead = MONTH + MOMENT
    sweep = world.service.erasure.sweep
    erased = 0

    async def stop_after_three() -> None:
        nonlocal erased
        while erased < 3:
            erased = world.one("SELECT count(*) FROM erasures")
            await asyncio.sleep(0)
        world.service.scheduler.stopping.set()

    stopping = asyncio.create_task(stop_after_three())
    (done,) = await sweep.sweep(SYSTEM)
    await stopping
    assert done.stopped
    assert 3 <= done.erased < 7
    world.service.scheduler.stopping.clear()
    (rest,) = await sweep.sweep(SYSTEM)
    assert done.erased + rest.erased == 7
    assert {status(world, user_id) for user_id in users} == {"erased"}


async def test_two_replicas_that_sweep_at_once_erase_everybody_once(
    world: World, database: str, broker: Broker, tmp_path: Path
) -> None:
    await first_sweep(world)
    users = await deleted(world, 20)
    async with running_world(database, broker, tmp_path / "other.ndjson") as other:
        world.clock.ahead = other.clock.ahead = MONTH + MOMENT
        done = await asyncio.gather(swept(world), swept(other))
        assert sum(count[Status.DELETED] for count in done) == 20
        requests = "SELECT count(*) FROM events WHERE name = 'users.erasure_requested.v1'"
        assert world.one(requests) == 20
        for user_id in users:
            await asyncio.gather(world.certified(user_id), other.certified(user_id))
    assert world.one("SELECT count(*) FROM events WHERE name = 'users.erased.v1'") == 20


@pytest.mark.parametrize("kinds", ["deleted", "deleted,disabled"])
async def test_disabled_accounts_go_only_where_that_was_chosen_and_counted_from_the_choice(
    database: str, broker: Broker, tmp_path: Path, kinds: str
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as before:
        user_id = UUID((await before.client.register())["id"])
        admin = await before.client.as_admin()
        await before.client.http.post(f"/users/{user_id}/disable", headers=admin)
        # Long ago, for the table; the log decides on the time of the event, which is now.
        before.execute("UPDATE credentials SET since = now() - interval '1 year' WHERE user_id = %s", user_id)
    async with running_world(database, broker, ledger, MG_USERS_SWEEP=kinds) as world:
        await first_sweep(world)
        world.clock.ahead = MONTH - timedelta(minutes=1)
        assert (await swept(world)).get(Status.DISABLED, 0) == 0
        world.clock.ahead = MONTH + timedelta(minutes=1)
        # The first sweep that could take somebody only reports.
        assert (await swept(world)).get(Status.DISABLED, 0) == 0
        assert status(world, user_id) == "disabled"
        assert (await swept(world)).get(Status.DISABLED, 0) == ("disabled" in kinds)
        assert status(world, user_id) == ("erased" if "disabled" in kinds else "disabled")


async def test_a_kind_that_was_given_up_begins_anew(database: str, broker: Broker, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.ndjson"
    for kinds in ("deleted,disabled", "deleted", "deleted,disabled"):
        async with running_world(database, broker, ledger, MG_USERS_SWEEP=kinds) as world:
            await world.service.erasure.sweep.begin()
            begun = world.one("SELECT begun_at FROM sweeps WHERE kind = 'disabled'")
            assert (begun is None) == (kinds == "deleted")
            if begun:
                age = world.one("SELECT now() - %s", begun)
                assert age < timedelta(seconds=20)
                world.execute("UPDATE sweeps SET begun_at = now() - interval '1 year'")


async def test_the_job_has_the_interval_of_the_settings(world: World) -> None:
    every = {job.name: job.every for job in world.service.erasure.jobs}
    assert every["sweep"] == timedelta(hours=24)


async def test_over_all_replicas_one_sweep_is_begun_per_interval(
    world: World, database: str, broker: Broker, tmp_path: Path
) -> None:
    begun: list[int] = []
    async with running_world(database, broker, tmp_path / "other.ndjson") as other:

        def counted(replica: World) -> tuple[Scheduler, Job]:
            job = next(job for job in replica.service.erasure.jobs if job.name == "sweep")

            async def run() -> str:
                begun.append(1)
                return await job.run()

            return replica.service.scheduler, Job(job.name, job.every, run)

        replicas = [counted(world), counted(other)]
        for _ in range(3):
            await asyncio.gather(*(scheduler.turn(job) for scheduler, job in replicas))
        assert len(begun) == 1
        world.execute("UPDATE schedule SET begun_at = begun_at - interval '24 hours' WHERE name = 'sweep'")
        await asyncio.gather(*(scheduler.turn(job) for scheduler, job in replicas))
        assert len(begun) == 2
