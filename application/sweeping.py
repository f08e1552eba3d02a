"""The sweep: erases the accounts whose grace is over, in batches, and says what it did."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

import msgspec

from application.bus import Bus
from application.commands.sweep_user import SweepUser
from application.messages import Context
from domain.access import SYSTEM, Actor
from domain.errors import LastAdmin, NotFound, Refusal, VersionConflict
from domain.values import Status

BATCH = 100

log = logging.getLogger("usersd.sweep")


class Closed(msgspec.Struct, frozen=True):
    """An account that is closed, and since when."""

    user_id: UUID
    status: Status
    since: datetime


class ClosedAccounts(Protocol):
    """Who is closed, as true as the log; never from a read model, which may lag."""

    async def closed(self, status: Status, before: datetime, after: UUID, limit: int) -> Sequence[Closed]:
        """Some accounts that have had a status since before a time, by id, after one id."""

    async def begin(self, kinds: Sequence[Status], at: datetime, *, end_others: bool) -> None:
        """These kinds are swept from now on; one that was before goes on as it did."""

    async def begun(self, kind: Status) -> tuple[datetime, bool] | None:
        """Since when a kind is swept, and whether a sweep has reported it yet."""

    async def reported(self, kind: Status, at: datetime) -> None:
        """A sweep has reported this kind; the next one erases."""


class Swept(msgspec.Struct, kw_only=True):
    """What one sweep did with one kind of account; `refused` are those that could not be decided on."""

    kind: Status
    erased: int = 0
    stayed: int = 0
    refused: int = 0
    only_reported: int | None = None
    stopped: bool = False

    @property
    def line(self) -> str:
        if self.only_reported is not None:
            return f"{self.kind.value}: {self.only_reported} are due; a kind's first sweep only reports"
        parts = [f"{self.erased} erased"]
        parts += [f"{self.stayed} were back and stayed"] if self.stayed else []
        parts += [f"{self.refused} refused"] if self.refused else []
        parts += ["stopped before its end"] if self.stopped else []
        return f"{self.kind.value}: {', '.join(parts)}"


class Sweep:
    """Sweeps the chosen kinds of closed accounts; between two accounts it can be stopped.

    A deleted account's grace begins with its deletion. A disabled one's begins no earlier than the first
    start that was told to sweep them, since until then nobody had to expect it.
    """

    def __init__(
        self,
        bus: Bus,
        accounts: ClosedAccounts,
        kinds: Sequence[Status],
        after: timedelta,
        stopping: asyncio.Event,
    ) -> None:
        self._bus = bus
        self._accounts = accounts
        self._kinds = kinds
        self._after = after
        self._stopping = stopping

    async def begin(self) -> None:
        """Take note, as a service starts, of the kinds that are swept from now on, and no others."""
        await self._accounts.begin(self._kinds, self._bus.ports.clock.now(), end_others=True)

    async def run(self) -> str:
        """One sweep, as regular work: a line on what it did."""
        done = await self.sweep(SYSTEM)
        return "; ".join(swept.line for swept in done)

    async def sweep(self, by: Actor) -> list[Swept]:
        """One sweep of every kind. The first one of a kind only reports."""
        await self._accounts.begin(self._kinds, self._bus.ports.clock.now(), end_others=False)
        return [await self._sweep(kind, by) for kind in self._kinds if not self._stopping.is_set()]

    async def due(self) -> AsyncIterator[Closed]:
        """Every account whose grace is over."""
        for kind in self._kinds:
            async for account in self._due(kind, self._bus.ports.clock.now() - self._after):
                yield account

    async def _sweep(self, kind: Status, by: Actor) -> Swept:
        now = self._bus.ports.clock.now()
        begun = await self._accounts.begun(kind)
        only_report = begun is None or not begun[1]
        swept = Swept(kind=kind, only_reported=0 if only_report else None)
        async for account in self._due(kind, now - self._after):
            if self._stopping.is_set():
                swept.stopped = True
                return swept
            if swept.only_reported is not None:
                swept.only_reported += 1
            else:
                await self._erase(account, now, by, swept)
        # Before the grace that began with the choice is over, nobody can be due, and nothing was reported.
        if only_report and (kind is Status.DELETED or (begun and begun[0] < now - self._after)):
            await self._accounts.reported(kind, now)
        return swept

    async def _due(self, kind: Status, before: datetime) -> AsyncIterator[Closed]:
        begun = await self._accounts.begun(kind)
        if kind is not Status.DELETED and (begun is None or begun[0] >= before):
            return
        after = UUID(int=0)
        while page := await self._accounts.closed(kind, before, after, BATCH):
            for account in page:
                yield account
            after = page[-1].user_id

    async def _erase(self, account: Closed, now: datetime, by: Actor, swept: Swept) -> None:
        command = SweepUser(user_id=account.user_id, status=account.status, before=now - self._after)
        command_id = uuid4()
        context = Context(actor=by, at=now, command_id=command_id, correlation_id=command_id)
        try:
            receipt = await self._bus.dispatch(command, context, wait=False)
        except (NotFound, VersionConflict, LastAdmin):
            swept.stayed += 1
        except Refusal as refusal:
            swept.refused += 1
            log.warning("user %s was not erased: %s", account.user_id, refusal.code)
        else:
            swept.erased += receipt.stored
            swept.stayed += not receipt.stored
