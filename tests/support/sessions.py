"""Sessions and the security log in memory, for fast tests of the application."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from application.ports import Accounts, Credential, LivingSession, SessionGrant
from application.security import SecurityEntry, SecurityFact, Session
from domain.errors import InvalidToken, WrongCredentials
from domain.values import Status


class MemorySecurityLog:
    """Implements the port SecurityLog over a list."""

    def __init__(self) -> None:
        self.facts: list[SecurityFact] = []

    async def record(self, fact: SecurityFact) -> None:
        self.facts.append(fact)

    async def page(self, user_id: UUID, limit: int, before: int | None) -> Sequence[SecurityEntry]:
        numbered = [
            SecurityEntry(number=number, **msgspec.structs.asdict(fact))
            for number, fact in enumerate(self.facts, 1)
            if fact.user_id == user_id and (before is None or number < before)
        ]
        return numbered[::-1][:limit]


class MemorySessions:
    """Implements the port Sessions: opens under the same condition, rotates without any grace."""

    def __init__(self, accounts: Accounts, security_log: MemorySecurityLog) -> None:
        self._accounts = accounts
        self._log = security_log
        self._grants: dict[str, SessionGrant] = {}
        self.there: dict[UUID, tuple[UUID, Session]] = {}
        self.asked_to_open = 0

    async def open(
        self,
        credential: Credential,
        description: str,
        at: datetime,
        *,
        user_agent: str = "",
        network: str = "",
    ) -> tuple[SessionGrant, str]:
        self.asked_to_open += 1
        now = await self._accounts.of(credential.user_id)
        if now is None or now.epoch != credential.epoch or now.status is not Status.ENABLED:
            raise WrongCredentials
        grant = SessionGrant(user_id=credential.user_id, session_id=uuid4(), epoch=credential.epoch)
        session = Session(
            id=grant.session_id,
            created_at=at,
            last_used_at=at,
            description=description,
            user_agent=user_agent,
            opened_from=network,
            network=network,
        )
        self.there[session.id] = (credential.user_id, session)
        return grant, self._token(grant)

    async def refresh(self, token: str, at: datetime, *, network: str = "") -> tuple[SessionGrant, str]:
        grant = self._grants.pop(token, None)
        if grant is None or grant.session_id not in self.there:
            raise InvalidToken
        return grant, self._token(grant)

    def made_here(self, token: str) -> bool:
        return token in self._grants

    async def living(self, token: str, at: datetime) -> LivingSession | None:
        grant = self._grants.get(token)
        if grant is None or grant.session_id not in self.there:
            return None
        return LivingSession(
            user_id=grant.user_id, session_id=grant.session_id, expires_at=at + timedelta(hours=24)
        )

    async def of(self, user_id: UUID, at: datetime) -> Sequence[Session]:
        return [session for owner, session in self.there.values() if owner == user_id]

    async def revoke(
        self, user_id: UUID, session_id: UUID, at: datetime, *, by: UUID | None = None, network: str = ""
    ) -> None:
        if self.there.get(session_id, (None,))[0] == user_id:
            del self.there[session_id]
            await self._log.record(
                SecurityFact(
                    kind="session_revoked", at=at, user_id=user_id, session_id=session_id, network=network
                )
            )

    async def revoke_all(
        self,
        user_id: UUID,
        at: datetime,
        *,
        keep: UUID | None = None,
        by: UUID | None = None,
        network: str = "",
    ) -> None:
        ended = [key for key, (owner, _) in self.there.items() if owner == user_id and key != keep]
        for session_id in ended:
            del self.there[session_id]
        if ended:
            await self._log.record(
                SecurityFact(
                    kind="all_sessions_revoked", at=at, user_id=user_id, session_id=by, network=network
                )
            )

    def _token(self, grant: SessionGrant) -> str:
        token = uuid4().hex
        self._grants[token] = grant
        return token
