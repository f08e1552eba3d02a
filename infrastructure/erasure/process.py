"""Carries every erasure that was asked for to its end, whatever is killed when.

The request has destroyed the key, freed the names and ended the sessions. From there on each step can be done
again: the ledger is told, the tables are emptied, the read models and the relay come past the request by
themselves, the tables are emptied of what came late, the log says that the user is erased, and a certificate
is signed. What was recorded last says where to go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import PoolTimeout

from application.cancelling import heed_cancellation
from application.changing import append
from application.messages import Context
from application.ports import Clock, EventLog, Ports, Recorded
from domain.access import SYSTEM
from domain.errors import Refusal, VersionConflict
from domain.events import Erased, ErasureRequested
from infrastructure.erasure.certificate import Certificate, Key, Requested
from infrastructure.erasure.ledger import Entry, Ledger, LedgerUnusable
from infrastructure.erasure.record import Record
from infrastructure.postgres.complaints import cause

BUSY = 0.25
IDLE = 1.0
"""Seconds between two looks at the record, with open erasures and without."""

SPARE = timedelta(days=1)
"""Beyond the interval of the epochs: for the rewrapping itself, and for a service that was down."""

log = logging.getLogger("usersd.erasure")


class Files(Protocol):
    """Files that hold something of users."""

    name: str

    async def remove(self, user_id: UUID) -> int:
        """Remove those of a user; how many they were. To be called again after a crash."""


class Erasing:
    """Works on open erasures until cancelled; several processes may, since every step can be done twice.

    `checkpoint` hears of each step that is on disk.
    """

    def __init__(
        self,
        ports: Ports,
        record: Record,
        ledger: Ledger,
        sign: Callable[[Certificate], str],
        *,
        epoch_interval: timedelta,
        files: Sequence[Files] = (),
        checkpoint: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._ports = ports
        self._log: EventLog = ports.log
        self._clock: Clock = ports.clock
        self._record = record
        self._ledger = ledger
        self._sign = sign
        self._epoch_interval = epoch_interval
        self._files = files
        self.checkpoint = checkpoint
        self._complaint = ""
        self._failed: set[UUID] = set()

    async def run(self) -> None:
        """Go on with whatever can go on; troubles are logged once each and tried again."""
        compared = False
        while True:
            heed_cancellation()
            pause = BUSY
            try:
                if not compared:
                    await self._compare()
                    compared = True
                if not await self.step():
                    pause = IDLE
                self._complaint = ""
            except LedgerUnusable as error:
                self._complain(f"no erasure can be finished: {error}")
            except (psycopg.OperationalError, PoolTimeout, Refusal) as error:
                self._complain(f"erasures wait ({cause(error)})")
            except Exception as error:
                self._complain(f"an erasure failed ({type(error).__name__}); trying again", error)
            await asyncio.sleep(pause)

    async def step(self) -> bool:
        """Take every erasure that can go on as far as it goes; whether there are open ones.

        One that fails for a reason of its own holds up no other.
        """
        work, any_open = await self._record.work()
        for item in work:
            try:
                await (self._begin(item.user_id) if item.begins else self._finish(item.user_id))
            except (LedgerUnusable, psycopg.OperationalError, PoolTimeout):
                raise
            except VersionConflict:
                # Another replica has just taken this step; the next look finds where it stands.
                continue
            except Exception as error:
                if item.user_id not in self._failed:
                    log.error(
                        "the erasure of user %s failed and is tried again (%s)",
                        item.user_id, type(error).__name__,
                    )  # fmt: skip
                self._failed.add(item.user_id)
            else:
                self._failed.discard(item.user_id)
        return any_open

    async def _compare(self) -> None:
        """Whether this database has forgotten, being a restored one, that it has forgotten somebody."""
        entries, torn = await asyncio.to_thread(self._ledger.entries)
        if torn:
            log.warning("%s: %d lines cannot be read", self._ledger.path, torn)
        if back := await self._record.unheeded(list(entries)):
            log.error(
                "%d users stand in the ledger of erasures and are not erased in this database, which must be "
                "older: run `usersd erasures replay` before anybody uses it",
                len(back),
            )

    async def _begin(self, user_id: UUID) -> None:
        await self._remove(user_id)
        self.checkpoint("removed")
        entry = Entry(user_id, await self._record.requested_at(user_id))
        await asyncio.to_thread(self._ledger.note, entry)
        self.checkpoint("in the ledger")
        await self._record.noted(user_id)
        self.checkpoint("noted")

    async def _finish(self, user_id: UUID) -> None:
        # What was under way when the user was forgotten may have left something behind.
        await self._remove(user_id)
        self.checkpoint("removed again")
        timeline = await self._log.timeline(user_id)
        if not isinstance(timeline[-1].event, Erased):
            await self._say_so(user_id, timeline[-1].version)
            timeline = await self._log.timeline(user_id)
        self.checkpoint("erased")
        certificate = await self._certificate(user_id, timeline)
        await self._record.certified(user_id, await asyncio.to_thread(self._sign, certificate))
        self.checkpoint("certified")
        log.info("erased user %s: %d messages overwritten", user_id, certificate.messages_overwritten)

    async def _remove(self, user_id: UUID) -> None:
        files = {files.name: await files.remove(user_id) for files in self._files}
        await self._record.remove(user_id, files)

    async def _say_so(self, user_id: UUID, seen: int) -> None:
        """Raises VersionConflict where another replica has said so since this one looked at the history."""
        before = await self._log.load(user_id)
        if before.user.version != seen:
            raise VersionConflict
        now, command_id = self._clock.now(), uuid4()
        context = Context(actor=SYSTEM, at=now, command_id=command_id, correlation_id=command_id)
        await append(before, [Erased(at=now)], context, self._ports)

    async def _certificate(self, user_id: UUID, timeline: Sequence[Recorded]) -> Certificate:
        facts = await self._record.facts(user_id)
        request = next(recorded for recorded in timeline if isinstance(recorded.event, ErasureRequested))
        assert isinstance(request.event, ErasureRequested)
        return Certificate(
            user_id=user_id,
            requested=Requested(
                at=request.event.at,
                by=request.actor.kind,
                reason=request.event.reason,
                position=request.position,
            ),
            completed_at=timeline[-1].event.at,
            key=Key(
                destroyed_at=facts.key_destroyed_at,
                epoch=facts.epoch,
                epoch_destroyed_by=facts.key_destroyed_at + self._epoch_interval + SPARE,
                root_key=facts.root_key,
            ),
            removed=facts.removed,
            messages_overwritten=facts.messages,
            stream_cleared_at=facts.cleared_at,
            ledger_at=facts.noted_at,
            log=facts.chain,
        )

    def _complain(self, words: str, error: Exception | None = None) -> None:
        if words != self._complaint:
            self._complaint = words
            log.error("%s", words, exc_info=error)
