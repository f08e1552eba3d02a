"""The log as the use cases of this process know it: traced, and told to its memory of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from application.ports import Change
from infrastructure.event_store.log import PostgresEventLog
from infrastructure.tokens.revocation import PostgresRevocations

if TYPE_CHECKING:
    from infrastructure.telemetry.tracing import Tracing


class RememberingLog(PostgresEventLog):
    """The log, telling this process's memory of accounts what it has just changed."""

    revocations: PostgresRevocations
    tracing: Tracing | None = None

    async def append(self, change: Change) -> int:
        if self.tracing is None:
            position = await super().append(change)
        else:
            position = await self.tracing.append(change, super().append)
        self.revocations.changed_here(change.after.id, position)
        return position

    async def email_of(self, user_id: UUID) -> str:
        """The email that a token in Mainflux's form names its user by."""
        return (await self.load(user_id)).user.email
