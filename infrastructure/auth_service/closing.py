"""Ends the sessions that the Auth service keeps of users who are shut out: others may ask it without us."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.ports import Accounts
from domain import events
from domain.errors import Refusal
from domain.events import Event
from domain.values import Status
from infrastructure.auth_service.client import AuthService
from infrastructure.auth_service.reactor import NotTold

NAME = "auth sessions"

# Not a new secret: its user may have logged in with it before this comes to it, and would be thrown out.
CONCERNS: frozenset[type[Event]] = frozenset({events.Disabled, events.Deleted, events.ErasureRequested})


class Closing:
    """Takes away what is worth nothing here already, and with it the descriptions that users gave."""

    def __init__(self, auth: AuthService, accounts: Accounts) -> None:
        self._auth = auth
        self._accounts = accounts

    async def tell(self, users: Sequence[UUID]) -> None:
        """Raises NotTold unless none of those who are shut out now has a session left."""
        try:
            for user_id in users:
                account = await self._accounts.of(user_id)
                if account is None or account.status is not Status.ENABLED:
                    for session_id in await self._auth.sessions_of(user_id):
                        await self._auth.revoke(user_id, session_id)
        except Refusal:
            raise NotTold("the Auth service did not end the sessions of users who are shut out") from None
