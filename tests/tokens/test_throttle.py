"""Counting attempts on a database, with several replicas that count together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from application.limits import Limit, limits
from application.messages import Context
from domain.access import ANONYMOUS
from domain.errors import TooManyAttempts
from infrastructure.accounts.throttle import _WAIT, PostgresThrottle
from tests.tokens.conftest import Ground

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HERE, ELSEWHERE = "192.0.2.0/24", "198.51.100.0/24"
FREE = 5


def second(number: float) -> datetime:
    return AT + timedelta(seconds=number)


def login(account: UUID | str, network: str = HERE) -> list[Limit]:
    context = Context(actor=ANONYMOUS, at=AT, command_id=uuid4(), correlation_id=uuid4(), network=network)
    return limits("login", context, account=account, user_id=account if isinstance(account, UUID) else None)


@pytest.fixture
async def throttle(ground: Ground) -> AsyncIterator[PostgresThrottle]:
    made = PostgresThrottle(ground.conninfo, ground.keyring, ground.pool)
    yield made
    await made.close()


async def fails(throttle: PostgresThrottle, held: list[Limit], at: datetime) -> None:
    await throttle.admit(held, at)
    await throttle.count(held, at)


async def test_the_first_failures_are_free_and_then_the_pauses_grow(throttle: PostgresThrottle) -> None:
    held = login(uuid4())
    for _ in range(FREE):
        await fails(throttle, held, AT)
    now = 0.0
    for pause in (1, 2, 4, 8, 16, 30, 30):
        with pytest.raises(TooManyAttempts) as refusal:
            await throttle.admit(held, second(now + pause - 0.5))
        assert refusal.value.retry_after == 1
        now += pause
        await fails(throttle, held, second(now))


async def test_a_success_forgives_what_failed_before(throttle: PostgresThrottle) -> None:
    held = login(uuid4())
    for number in range(FREE):
        await fails(throttle, held, second(number))
    await throttle.admit(held, second(60))
    await throttle.succeeded(held, second(60))
    for _ in range(FREE):
        await fails(throttle, held, second(61))


async def test_a_pause_that_comes_after_a_success_holds_up_nobody(throttle: PostgresThrottle) -> None:
    """The success may come between an attempt's being counted and its pause."""
    held = login(uuid4())
    for _ in range(FREE):
        await fails(throttle, held, AT)
    await throttle.succeeded(held, AT)
    async with throttle._connection() as connection:
        for limit in held:
            await connection.execute(_WAIT, (second(60), throttle._digest(limit), FREE))
    await throttle.admit(held, second(1))


async def test_failures_are_forgotten_after_a_while(throttle: PostgresThrottle) -> None:
    held = login(uuid4())
    for _ in range(FREE + 1):
        await throttle.count(held, AT)
    later = AT + timedelta(minutes=15)
    for _ in range(FREE):
        await fails(throttle, held, later)


async def test_of_many_attempts_at_once_beyond_the_free_ones_one_goes_ahead(
    throttle: PostgresThrottle, ground: Ground
) -> None:
    held = login(uuid4())
    for _ in range(FREE + 3):
        await throttle.count(held, AT)
    other = PostgresThrottle(ground.conninfo, ground.keyring, ground.pool)
    tries = [replica.admit(held, second(60)) for replica in (throttle, other) for _ in range(20)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    await other.close()
    assert sum(answer is None for answer in answers) == 1
    assert all(answer is None or isinstance(answer, TooManyAttempts) for answer in answers)


async def test_a_failure_counts_on_every_replica(throttle: PostgresThrottle, ground: Ground) -> None:
    held = login(uuid4())
    other = PostgresThrottle(ground.conninfo, ground.keyring, ground.pool)
    for _ in range(FREE):
        await other.count(held, AT)
    await other.close()
    with pytest.raises(TooManyAttempts):
        await throttle.admit(held, AT)


async def test_failures_elsewhere_do_not_hold_up_a_network_that_the_account_knows(
    throttle: PostgresThrottle,
) -> None:
    account = uuid4()
    await throttle.succeeded(login(account), AT)
    for number in range(60):
        await throttle.count(login(account, f"203.0.{number}.0/24"), second(100))
    await throttle.count(login(account, ELSEWHERE), second(100))
    with pytest.raises(TooManyAttempts):
        await throttle.admit(login(account, ELSEWHERE), second(100))
    await throttle.admit(login(account), second(100))


async def test_who_has_not_failed_from_their_network_yet_has_a_try_whatever_others_do(
    throttle: PostgresThrottle,
) -> None:
    account = uuid4()
    for number in range(60):
        await throttle.count(login(account, f"203.0.{number}.0/24"), AT)
    for _ in range(100):
        await throttle.admit(login(account), AT)
    await throttle.count(login(account), AT)
    with pytest.raises(TooManyAttempts):
        await throttle.admit(login(account), AT)


async def test_a_lifted_limit_leaves_what_is_known_of_the_owner(throttle: PostgresThrottle) -> None:
    account = uuid4()
    await throttle.succeeded(login(account), AT)
    await throttle.lift(account)
    for number in range(60):
        await throttle.count(login(account, f"203.0.{number}.0/24"), AT)
    await throttle.count(login(account), AT)
    await throttle.admit(login(account), AT)


async def test_a_network_that_tries_many_accounts_is_held_up_on_all(throttle: PostgresThrottle) -> None:
    for _ in range(50):
        await throttle.count(login(uuid4()), AT)
    with pytest.raises(TooManyAttempts):
        await throttle.admit(login(uuid4()), AT)
    await throttle.admit(login(uuid4(), ELSEWHERE), AT)


async def test_names_that_nobody_has_are_held_to_the_same_limits(throttle: PostgresThrottle) -> None:
    for spelling in ("nobody@example.com", "Nobody@Example.COM") * 3:
        await throttle.count(login(spelling), AT)
    with pytest.raises(TooManyAttempts):
        await throttle.admit(login("nobody@example.com"), AT)


async def test_an_admin_sees_what_is_held_against_an_account_and_lifts_it(throttle: PostgresThrottle) -> None:
    account = uuid4()
    for _ in range(FREE):
        await throttle.count(login(account), AT)
    held = {row.scope: row for row in await throttle.of(account, AT)}
    assert held["account from a network"].network == HERE
    assert held["account from a network"].attempts == FREE
    assert held["account from a network"].waits_until == second(1)
    assert held["account"].waits_until is None
    assert await throttle.lift(account) == 2
    await throttle.admit(login(account), AT)
    assert await throttle.of(account, AT) == []


async def test_rows_that_say_nothing_any_more_are_swept_in_batches(
    throttle: PostgresThrottle, ground: Ground
) -> None:
    for _ in range(10):
        await throttle.count(login(uuid4()), AT)
    known = login(uuid4())
    await throttle.succeeded(known, AT)
    later = AT + timedelta(hours=2)
    assert await throttle.sweep(later, 15) == 15
    assert await throttle.sweep(later, 15) == 6
    assert await ground.rows("SELECT count(*) FROM throttle") == [(1,)]


async def test_no_row_tells_the_name_that_was_tried(throttle: PostgresThrottle, ground: Ground) -> None:
    await throttle.count(login("secret-name@example.com"), AT)
    assert "secret-name" not in str(await ground.rows("SELECT * FROM throttle"))


async def test_without_limits_nothing_is_counted(ground: Ground) -> None:
    off = PostgresThrottle(ground.conninfo, ground.keyring, ground.pool, enabled=False)
    held = login(uuid4())
    for _ in range(100):
        await fails(off, held, AT)
    await off.close()
    assert await ground.rows("SELECT count(*) FROM throttle") == [(0,)]
