"""In memory: the limits on attempts, the service accounts, and what is held beside the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from application.holdings import Held
from application.limits import Limit
from application.ports import Throttled
from domain.errors import TooManyAttempts
from domain.throttling import ALLOWANCES, pause_after


class MemoryThrottle:
    """Implements the port Throttle: the rules of the domain over a dictionary."""

    def __init__(self) -> None:
        self.attempts: dict[Limit, int] = {}
        self.waits_until: dict[Limit, datetime] = {}

    async def admit(self, limits: Sequence[Limit], at: datetime) -> None:
        for limit in limits:
            if (until := self.waits_until.get(limit, at)) > at:
                raise TooManyAttempts(retry_after=round((until - at).total_seconds()))

    async def count(self, limits: Sequence[Limit], at: datetime) -> None:
        for limit in limits:
            attempts = self.attempts[limit] = self.attempts.get(limit, 0) + 1
            self.waits_until[limit] = at + pause_after(attempts, ALLOWANCES[limit.act, limit.scope].free)

    async def succeeded(self, limits: Sequence[Limit], at: datetime) -> None:
        for limit in limits:
            if limit.scope == "account from a network":
                self.attempts.pop(limit, None)

    async def of(self, user_id: UUID, at: datetime) -> list[Throttled]:
        return [
            Throttled(
                act=limit.act,
                scope=limit.scope,
                network=limit.network,
                attempts=attempts,
                waits_until=self.waits_until.get(limit),
            )
            for limit, attempts in self.attempts.items()
            if limit.user_id == user_id
        ]

    async def lift(self, user_id: UUID) -> int:
        held = [limit for limit in self.attempts if limit.user_id == user_id]
        for limit in held:
            del self.attempts[limit]
            self.waits_until.pop(limit, None)
        return len(held)


class MemoryClients:
    """Implements the port Clients: there are none."""

    async def authenticate(self, client_id: UUID, secret: str, at: datetime) -> None:
        return None


class MemoryHoldings:
    """Implements the port Holdings: there is nothing."""

    async def of(self, user_id: UUID) -> Held:
        return Held(sessions=[], ended_sessions=[], mails=[], links=[], attempts=[])
