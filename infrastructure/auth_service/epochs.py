"""Under which credential epoch a foreign token was issued: told from its time and the log.

Tokens of another issuer carry no epoch. The log has the moment of everything that has ended a user's
sessions, so that the time of a token says which of them it has outlived. From there on such a token is
checked as one of our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from application.ports import Accounts, Credential, EventLog, Recorded
from domain.errors import InvalidToken
from domain.user import User, evolve
from domain.values import Status

MAX_REMEMBERED = 20_000


class Epochs:
    """Reads no history of a user whose sessions were never ended, which is most of them."""

    def __init__(self, accounts: Accounts, log: EventLog) -> None:
        self._accounts = accounts
        self._log = log
        # What has happened by a moment stays so.
        self._told: dict[tuple[UUID, float], int] = {}

    async def account(self, user_id: UUID) -> Credential:
        """An enabled account as it is now. Raises InvalidToken."""
        account = await self._accounts.of(user_id)
        if account is None or account.status is not Status.ENABLED:
            raise InvalidToken
        return account

    async def at(self, account: Credential, issued_at: float) -> int:
        """The epoch of a token from a time, in whole seconds as tokens have it (Unix)."""
        if account.epoch == User(id=account.user_id).epoch:
            return account.epoch
        key = (account.user_id, issued_at)
        epoch = self._told.get(key)
        if epoch is None:
            epoch = epoch_at(await self._log.timeline(account.user_id), issued_at)
            if len(self._told) >= MAX_REMEMBERED:
                self._told.clear()
            self._told[key] = epoch
        return epoch

    async def raised_at(self, account: Credential) -> datetime | None:
        """When the sessions of the account were ended last, if they ever were."""
        if account.epoch == User(id=account.user_id).epoch:
            return None
        raised = [at for at, _ in raises(await self._log.timeline(account.user_id))]
        return raised[-1] if raised else None


def epoch_at(timeline: Sequence[Recorded], issued_at: float) -> int:
    """The epoch that a token is of: what happened after its second began has ended it."""
    epoch = User(id=UUID(int=0)).epoch
    for at, raised in raises(timeline):
        if at.timestamp() > issued_at:
            break
        epoch = raised
    return epoch


def raises(timeline: Sequence[Recorded]) -> list[tuple[datetime, int]]:
    """When an epoch was raised, and to what."""
    found: list[tuple[datetime, int]] = []
    user = User(id=UUID(int=0))
    for recorded in timeline:
        before, user = user.epoch, evolve(user, recorded.event)
        if user.epoch > before:
            found.append((recorded.event.at, user.epoch))
    return found
