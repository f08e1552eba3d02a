"""Puts together what sweeps and erases: regular work, and the process that brings erasures to their end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.bus import Bus
from application.cancelling import heed_cancellation
from application.sweeping import Sweep
from domain.values import Status
from infrastructure.erasure.closed import PostgresClosedAccounts
from infrastructure.erasure.ledger import FILE, Ledger
from infrastructure.erasure.mail_files import MailFiles
from infrastructure.erasure.process import Erasing
from infrastructure.erasure.record import Record
from infrastructure.erasure.signer import StoredKeySigner
from infrastructure.event_store.epochs import EpochChanges
from infrastructure.mail.mailer import FOLDER
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from interfaces.scheduler import Job

REWRAPS_EVERY = timedelta(minutes=5)
RETRY_SECONDS = 1.0


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about erasing, wired."""

    erasing: Erasing
    sweep: Sweep
    epochs: EpochChanges
    ledger: Ledger
    record: Record
    jobs: list[Job]

    async def run(self) -> None:
        """Bring erasures to their end until cancelled."""
        await asyncio.gather(self._begin(), self.erasing.run())

    async def _begin(self) -> None:
        """Have it on record which kinds are swept from this start on."""
        while True:
            heed_cancellation()
            try:
                await self.sweep.begin()
                return
            except (psycopg.OperationalError, PoolTimeout):
                await asyncio.sleep(RETRY_SECONDS)


def ledger_of(settings: Settings) -> Ledger:
    return Ledger(settings.erasure_ledger or settings.data_dir / FILE)


def erasure(
    settings: Settings,
    standing: Standing,
    keys: Keys,
    pool: AsyncConnectionPool[Any],
    bus: Bus,
    stopping: asyncio.Event,
) -> Erasure:
    """Wire it over a bus; whatever takes long looks at `stopping` between its steps."""
    kinds = [Status(kind) for kind in settings.sweep]
    sweep = Sweep(bus, PostgresClosedAccounts(pool), kinds, settings.delete_after, stopping)
    epochs = EpochChanges(standing.direct, keys.keyring, stopping)
    record, ledger = Record(pool), ledger_of(settings)
    return Erasure(
        erasing=Erasing(
            bus.ports,
            record,
            ledger,
            StoredKeySigner(standing.direct, keys.keyring),
            epoch_interval=settings.key_epoch_interval,
            files=(MailFiles(settings.data_dir / FOLDER),),
        ),
        sweep=sweep,
        epochs=epochs,
        ledger=ledger,
        record=record,
        jobs=[
            Job("sweep", settings.delete_interval, sweep.run),
            Job("sealing epoch", settings.key_epoch_interval, epochs.begin),
            Job("sealing keys", REWRAPS_EVERY, epochs.go_on),
        ],
    )
