"""Replicas that learn of revoked tokens, and what a test does with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from application.ports import AccessClaims, Rights
from domain.errors import InvalidToken
from infrastructure.accounts.lookup import PostgresAccounts
from infrastructure.postgres.notifications import Signal
from infrastructure.tokens.revocation import PostgresRevocations, elapsed
from tests.support.memory import NOON
from tests.support.waiting import eventually
from tests.tokens.conftest import Ground


class Clock:
    """Time that a test moves on by hand, on top of the machine's."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return elapsed() + self.ahead


@asynccontextmanager
async def replica(conninfo: str, ground: Ground, **more: Any) -> AsyncIterator[PostgresRevocations]:
    accounts = PostgresAccounts(conninfo, ground.keyring, ground.pool)
    async with PostgresRevocations(conninfo, accounts, [Signal()], **more) as revocations:
        yield revocations
    await accounts.close()


async def logged_in(ground: Ground, user_id: UUID | None = None) -> AccessClaims:
    account = await ground.accounts.of(user_id or ground.ada)
    assert account is not None
    grant, _ = await ground.sessions.open(account, "", NOON)
    return ground.tokens.check_access(await ground.tokens.access_token(grant, account, NOON), NOON)


async def up_to_date(ground: Ground, revocations: PostgresRevocations) -> None:
    (row,) = await ground.rows("SELECT max(position) FROM events")

    async def there() -> bool:
        revocations._news.set()
        return revocations._known.reached == row[0]

    await eventually(there)


async def is_revoked(revocations: PostgresRevocations, claims: AccessClaims) -> bool:
    try:
        await revocations.check(claims)
    except InvalidToken:
        return True
    return False


def without_database(revocations: PostgresRevocations, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the memory is not sure of fails the test."""

    async def asked(_: AccessClaims) -> Rights:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(revocations, "_ask", asked)
