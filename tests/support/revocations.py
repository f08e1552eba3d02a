"""The port Revocations over accounts in memory: asks them about each token."""

from __future__ import annotations

from uuid import UUID

from application.ports import AccessClaims, Accounts, Rights
from domain.errors import InvalidToken
from infrastructure.tokens.known import rights_of


class MemoryRevocations:
    """Implements the port Revocations; a session in `ended` has no tokens any more."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.ended: set[UUID] = set()

    async def check(self, claims: AccessClaims) -> Rights:
        if claims.session_id in self.ended:
            raise InvalidToken
        return rights_of(await self._accounts.of(claims.user_id), claims)
