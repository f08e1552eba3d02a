"""Appends the accounts that come, each as one event, by the way that every command takes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID, uuid4

from application.import_runs import Settled, refused, settled
from application.importing import Account, Offered, imported
from application.messages import Context
from application.ports import Change, EventLog, History, Recorded, Unreadable
from domain.access import OPERATOR
from domain.errors import EmailTaken, Unavailable, UsernameTaken, VersionConflict
from domain.events import Imported
from domain.user import User, evolve
from infrastructure.importing.existing import Existing, First, beside
from infrastructure.importing.followed import FollowedAccounts
from infrastructure.importing.patient import PATIENCE

TRIES: Final = 5


class Settling(Protocol):
    """Decides about rows that can be kept, chunk by chunk and in order."""

    async def look(self, accounts: Sequence[Account]) -> None:
        """Learn what there is already of the accounts that come next. Raises Unavailable."""

    def settle(self, offered: Offered, account: Account) -> Settled | Awaitable[Settled]:
        """What becomes of one row, at once or when it is stored."""


class Appending:
    """Implements Settling: every account that is not there is appended.

    Where they come from a table that can be followed, `followed` learns of each before it is stored.
    """

    def __init__(self, log: EventLog, existing: Existing, followed: FollowedAccounts | None = None) -> None:
        self._log = log
        self._existing = existing
        self._followed = followed
        self._run = uuid4()
        self._firsts: Mapping[UUID, First] = {}
        self._at = datetime.now(UTC)

    async def look(self, accounts: Sequence[Account]) -> None:
        self._firsts = await self._existing.firsts([account.id for account in accounts])
        if self._followed is not None:
            coming = [account.id for account in accounts if _comes(self._firsts.get(account.id))]
            await self._followed.note(coming)
        self._at = datetime.now(UTC)

    def settle(self, offered: Offered, account: Account) -> Settled | Awaitable[Settled]:
        event = imported(account, self._at)
        if (first := self._firsts.get(account.id)) is not None:
            return beside(offered, event, first)
        return self._append(offered, account, event)

    async def _append(self, offered: Offered, account: Account, event: Imported) -> Settled:
        change = self._change(account, event)
        last: Exception | None = None
        deadline = time.monotonic() + PATIENCE
        for _ in range(TRIES):
            try:
                await self._log.append(change)
            except EmailTaken:
                return refused(offered, "email_taken")
            except UsernameTaken:
                return refused(offered, "username_taken")
            except (VersionConflict, Unavailable) as lost:
                # It may have been stored, by this run or by another: the log says what there is.
                last = lost
                first = await self._existing.first(account.id)
                if first is None:
                    if time.monotonic() > deadline:
                        break
                    continue
                if isinstance(first, Unreadable) or first.command_id != change.context.command_id:
                    return beside(offered, event, first)
                return settled(offered, "imported")
            else:
                return settled(offered, "imported")
        raise last or Unavailable

    def _change(self, account: Account, event: Imported) -> Change:
        user = User(id=account.id)
        return Change(
            before=History(user=user),
            after=evolve(user, event),
            events=[event],
            context=Context(actor=OPERATOR, at=event.at, command_id=uuid4(), correlation_id=self._run),
            secret_hash=account.secret_hash,
        )


def _comes(first: First | None) -> bool:
    """Whether an account is new or was imported; of one that was erased nothing is remembered."""
    if first is None:
        return True
    return isinstance(first, Recorded) and isinstance(first.event, Imported) and not first.forgotten
