"""Projectors in a process of their own, as a service runs them, whose pages meet with more accidents."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import msgspec
import psycopg

from application.ports import Recorded, Unreadable
from infrastructure.event_store.log import EventReader
from infrastructure.postgres.notifications import EVENTS, Notifications
from infrastructure.standing import Keys, open_keys
from projections import catalogue, follower, lease, projector
from projections.lease import Fenced, Lease
from projections.readmodel import ReadModel
from tests.soak.audit import Audit
from tests.support.databases import standing

TORN = 0.02
SLOW = 0.02
TWICE = 0.05
AGAIN = 0.05

_TEAR = """
UPDATE projections SET fencing = fencing + 1, owner = 'nobody', lease_until = now() - interval '1 s'
WHERE name = %s AND state <> 'building' AND position = %s"""


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """How an owner is to work: seconds of a lease, events of a page, and where to note what it met with."""

    lease: float
    page: int
    seed: int
    notes: Path


class Accidents(EventReader):
    """Reads pages, and while one is in hand sometimes has its lease torn away, or is slow with it."""

    def __init__(self, keys: Keys, model: ReadModel, conninfo: str, conditions: Conditions) -> None:
        super().__init__(keys.mapper, keys.keyring)
        self._model = model
        self._conninfo = conninfo
        self._conditions = conditions
        self._chance = random.Random(f"{conditions.seed}:{model.name}")

    async def read(
        self, connection: psycopg.AsyncConnection, after: int, limit: int, until: int = 2**62
    ) -> list[Recorded | Unreadable]:
        page = await super().read(connection, after, limit, until)
        dice = self._chance.random()
        if page and dice < TORN:
            with contextlib.suppress(psycopg.Error):
                await self._tear(after)
        elif page and dice < TORN + SLOW:
            await asyncio.sleep(self._chance.random() * 0.2)
        return page

    async def _tear(self, position: int) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            torn = await connection.execute(_TEAR, (self._model.name, position))
            if torn.rowcount:
                note(self._conditions, "torn")


def careless(conditions: Conditions) -> type[follower.Follower]:
    """A follower that is handed some pages a second time, after it has written them."""
    chance = random.Random(conditions.seed)

    class Careless(follower.Follower):
        async def _step(self, connection: psycopg.AsyncConnection, lease: Lease) -> int:
            before = msgspec.structs.replace(lease)
            count = await super()._step(connection, lease)
            if count and chance.random() < TWICE:
                try:
                    await super()._step(connection, before)
                except Fenced:
                    note(conditions, "refused")
                else:
                    note(conditions, "TWICE")
            return count

    return Careless


def note(conditions: Conditions, what: str) -> None:
    """Write down what happened, for whoever counts it afterwards."""
    with open(conditions.notes, "a") as notes:
        notes.write(f"{what}\n")


def own(conninfo: str, conditions: Conditions) -> None:
    """Project every read model and the audit until killed."""
    setattr(lease, "LEASE_SECONDS", conditions.lease)  # noqa: B010
    follower.RENEWED = conditions.lease / 3
    follower.PAGE = conditions.page
    setattr(projector, "Follower", careless(conditions))  # noqa: B010
    while True:
        try:
            asyncio.run(_project(conninfo, conditions))
        except (psycopg.OperationalError, psycopg.InterfaceError):
            # The database was away when the keys were asked for.
            asyncio.run(asyncio.sleep(AGAIN))


async def _project(conninfo: str, conditions: Conditions) -> None:
    keys = await asyncio.to_thread(open_keys, standing(conninfo))
    models: list[ReadModel] = [*catalogue.READ_MODELS, Audit()]
    async with Notifications(conninfo, EVENTS) as notifications:
        projectors = [
            projector.Projector(
                model, Accidents(keys, model, conninfo, conditions), conninfo, notifications.signals[EVENTS]
            )
            for model in models
        ]
        await asyncio.gather(*(one.run() for one in projectors))
