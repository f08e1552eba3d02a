"""Idempotency-Key: repeats at the same moment, on other replicas, after a lost answer, after a day."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg

from infrastructure.postgres.expiry import delete_expired, expiring
from tests.http.answers import accepted, refused
from tests.http.conftest import checked_service
from tests.http.repeating import head_of, keyed, same_outcome
from tests.support.service import Client
from tests.support.waiting import eventually


async def test_of_16_repeats_at_once_one_is_stored_and_all_are_answered_alike(client: Client) -> None:
    account, headers, before = client.account(), keyed(), await head_of(client)
    answers = await asyncio.gather(
        *(client.http.post("/users", json=account, headers=headers) for _ in range(16))
    )
    assert [answer.status_code for answer in answers] == [201] * 16
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len({answer.headers["usersd-position"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 15
    assert await head_of(client) == before + 1
    owner, path = keyed(await client.as_user(account["email"])), answers[0].headers["location"]
    answers = await asyncio.gather(*(client.http.post(f"{path}/disable", headers=owner) for _ in range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 15
    assert await head_of(client) == before + 2


async def test_of_16_requests_with_one_key_and_different_bodies_one_is_carried_out(client: Client) -> None:
    user = await client.register()
    headers, path = keyed(await client.as_user(user["email"])), f"/users/{user['id']}/tags"
    answers = await asyncio.gather(
        *(client.http.patch(path, json={"tags": [f"t{number}"]}, headers=headers) for number in range(16))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 15
    (made,) = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer is not made:
            refused(answer, 422, "idempotency_key_reused")
    assert accepted(await client.http.get("/users/profile", headers=headers))["tags"] == made.json()["tags"]


async def test_replicas_and_restarts_remember_what_one_of_them_has_stored(database: str) -> None:
    async with checked_service(database) as one:
        async with checked_service(database) as other:
            account, headers = one.account(), keyed()
            answers = await asyncio.gather(
                *(
                    (one, other)[number % 2].http.post("/users", json=account, headers=headers)
                    for number in range(8)
                )
            )
            assert (
                sorted("idempotency-replayed" in answer.headers for answer in answers) == [False] + [True] * 7
            )
            (first,) = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
        same_outcome(first, await one.http.post("/users", json=account, headers=headers))
    async with checked_service(database) as restarted:
        same_outcome(first, await restarted.http.post("/users", json=account, headers=headers))


async def test_an_answer_that_was_lost_after_the_store_is_given_to_the_repeat(database: str) -> None:
    # Without projectors a write waits for lists to show it, and so can be cut off between store and answer.
    async with checked_service(database, project=False) as client:
        account, headers, before = client.account(), keyed(), await head_of(client)
        lost = asyncio.create_task(client.http.post("/users", json=account, headers=headers))

        async def stored() -> bool:
            return await head_of(client) == before + 1

        await eventually(stored)
        assert not lost.done()
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        async with checked_service(database) as other:
            answer = await other.http.post("/users", json=account, headers=headers)
            assert accepted(answer, 201)["email"] == account["email"]
            assert answer.headers["idempotency-replayed"] == "true"
            assert answer.headers["usersd-position"] == str(before + 1)
            assert await head_of(other) == before + 1


async def test_after_24_hours_a_key_is_new_and_its_row_is_deleted(client: Client, database: str) -> None:
    user = await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}/tags"
    keys = [str(uuid4()) for _ in range(5)]
    for key in keys:
        accepted(await client.http.patch(path, json={"tags": [key[:8]]}, headers=keyed(headers, key)))
    answer = await client.http.patch(path, json={"tags": ["new"]}, headers=keyed(headers, keys[0]))
    refused(answer, 422, "idempotency_key_reused")
    service = client.service
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("UPDATE idempotency_keys SET expires_at = expires_at - interval '1 day'")
        answer = await client.http.patch(path, json={"tags": ["new"]}, headers=keyed(headers, keys[0]))
        assert accepted(answer)["tags"] == ["new"]
        (keys_alone,) = [what for what in expiring(timedelta()) if what.table == "idempotency_keys"]
        now = service.bus.ports.clock.now()
        assert await delete_expired(service.pool, keys_alone, now, batch=3) == 4
        cursor = await connection.execute("SELECT count(*) FROM idempotency_keys")
        assert await cursor.fetchone() == (1,)
