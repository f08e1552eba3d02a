"""Looking accounts up by name and id, and for how long a process trusts what it has read."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from domain import events
from domain.errors import Unavailable
from domain.values import Role, Status
from infrastructure.accounts.lookup import PostgresAccounts
from tests.event_store.writing import HASH
from tests.support.memory import NOON
from tests.tokens.conftest import Ground


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.com", "Ada@Example.Com", "ａｄａ@example.com"])
async def test_an_account_is_found_by_either_name_in_any_spelling(ground: Ground, login: str) -> None:
    found = await ground.accounts.find(login)
    assert found is not None
    assert (found.user_id, found.secret_hash, found.status) == (ground.ada, HASH, Status.ENABLED)


@pytest.mark.parametrize("login", ["", "eve", "eve@example.com", "ada@", "@", "ada\x00"])
async def test_nobody_is_found_by_a_name_that_nobody_holds(ground: Ground, login: str) -> None:
    assert await ground.accounts.find(login) is None


async def test_many_look_ups_at_once_each_get_their_own_answer(ground: Ground) -> None:
    ids = {name: await ground.register(name) for name in (f"user{number}" for number in range(30))}
    found = await asyncio.gather(*(ground.accounts.find(name) for name in ids))
    assert [account.user_id for account in found if account] == list(ids.values())
    assert await ground.accounts.of(uuid4()) is None


async def test_the_holder_of_a_name_changes_with_the_append(ground: Ground) -> None:
    assert await ground.accounts.holder("email", "ada@example.com") == ground.ada
    await ground.happens(events.EmailChanged(at=NOON, email="new@example.com"))
    assert await ground.accounts.holder("email", "ada@example.com") is None
    assert await ground.accounts.holder("email", "NEW@example.com") == ground.ada
    assert await ground.accounts.holder("username", "new@example.com") is None


async def test_what_was_read_is_as_of_the_position_at_which_the_log_ended(ground: Ground) -> None:
    before = await ground.account()
    assert before.as_of == 1
    await ground.happens(events.Disabled(at=NOON))
    now = await ground.account()
    assert (now.status, now.epoch, now.as_of) == (Status.DISABLED, 2, 2)
    found = await ground.accounts.find("ada")
    assert found == now


async def test_the_log_remembers_that_there_was_an_admin(ground: Ground) -> None:
    assert not await ground.accounts.had_admin()
    await ground.happens(events.RoleChanged(at=NOON, role=Role.ADMIN))
    await ground.register("root", Role.ADMIN)
    await ground.happens(events.RoleChanged(at=NOON, role=Role.USER))
    assert await ground.accounts.had_admin()


async def test_a_hash_is_replaced_only_where_it_is_still_the_old_one(ground: Ground) -> None:
    await ground.accounts.rehashed(ground.ada, "not the hash", "$2b$worse")
    assert (await ground.account()).secret_hash == HASH
    await ground.accounts.rehashed(ground.ada, HASH, "$2b$better")
    account = await ground.account()
    assert (account.secret_hash, account.epoch) == ("$2b$better", 1)


async def test_without_a_database_accounts_are_unavailable(ground: Ground) -> None:
    away = PostgresAccounts("host=/nonexistent dbname=x", ground.keyring, ground.pool)
    with pytest.raises(Unavailable):
        await away.find("ada")
    with pytest.raises(Unavailable):
        await away.of(ground.ada)
    await away.close()


async def test_a_look_up_survives_a_connection_that_died_idle(ground: Ground) -> None:
    assert await ground.accounts.find("ada")
    await ground.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE '%JOIN credentials%' AND pid <> pg_backend_pid()"
    )
    assert await ground.accounts.find("ada")
