"""What operators have done about erasing, over a service that is wired for as long as one command takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
from msgspec.structs import replace

from application.commands.register_user import RegisterUser
from application.erasures import ErasureRow, NewAdmin, NewEpoch, NoLedger, Replayed, Verdict
from application.messages import Context
from application.sweeping import Closed, Swept
from domain import events
from domain.access import OPERATOR
from domain.user import User
from domain.values import Role
from infrastructure.bootstrap import Service, open_service
from infrastructure.erasure.ledger import Ledger
from infrastructure.erasure.reapply import erase, reapply
from infrastructure.erasure.verification import verdicts
from infrastructure.erasure.wiring import ledger_of
from infrastructure.event_store import epochs
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing, open_keys

T = TypeVar("T")

_ROWS = """
SELECT user_id, requested_at,
       CASE WHEN certificate IS NOT NULL THEN '' WHEN noted_at IS NULL THEN 'a running service'
            WHEN cleared_at IS NULL THEN 'the relay' ELSE 'the read models' END,
       messages, key_epoch, certified_at
FROM erasures ORDER BY position"""


class PostgresErasureOperations:
    """Implements the port ErasureOperations. `guard` raises where nothing may be appended to the log."""

    def __init__(
        self, standing: Standing, settings: Settings, guard: Callable[[Keys], None] = lambda keys: None
    ) -> None:
        self._standing = standing
        self._settings = settings
        self._guard = guard

    def due(self) -> list[Closed]:
        async def work(service: Service) -> list[Closed]:
            return [account async for account in service.erasure.sweep.due()]

        return self._with_service(work)

    def sweep(self) -> Sequence[Swept]:
        return self._with_service(lambda service: service.erasure.sweep.sweep(OPERATOR))

    def erase(self, user_id: UUID, reason: str) -> None:
        self._with_service(lambda service: erase(service.bus, user_id, reason))

    def create_admin(self, wanted: NewAdmin) -> UUID:
        async def work(service: Service) -> UUID:
            at = service.bus.ports.clock.now()
            account = events.Registered(at=at, email=wanted.email, username=wanted.username, role=Role.ADMIN)
            command = RegisterUser(account=account, user=User(id=uuid4()), secret=wanted.secret)
            return (await service.bus.dispatch(command, _context(at), wait=False)).user_id

        return self._with_service(work)

    def erasures(self) -> list[ErasureRow]:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            fields = ErasureRow.__struct_fields__
            rows = connection.execute(_ROWS).fetchall()
            return [ErasureRow(**dict(zip(fields, row, strict=True))) for row in rows]

    def certificate(self, user_id: UUID) -> str | None:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            row = connection.execute(
                "SELECT certificate FROM erasures WHERE user_id = %s", (user_id,)
            ).fetchone()
            return row[0] if row else None

    def verify(self) -> list[Verdict]:
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            return list(verdicts(connection))

    def replay(self, ledger: Path | None) -> Replayed:
        chosen = Ledger(ledger) if ledger else ledger_of(self._settings)
        if not chosen.path.exists():
            raise NoLedger(chosen.path)
        entries, torn = chosen.entries()

        done = self._with_service(lambda service: reapply(service.bus, service.erasure, entries))
        return Replayed(
            entries=len(entries),
            erased=len(done.erased),
            already=len(entries) - len(done.erased) - len(done.refused),
            refused=done.refused,
            unreadable=torn,
        )

    def new_epoch(self) -> NewEpoch:
        keyring = open_keys(self._standing).keyring
        with psycopg.connect(self._standing.direct, autocommit=True) as connection:
            epochs.begin(connection, keyring, always=True)
            done = epochs.change(connection, keyring)
        return NewEpoch(epoch=done.epoch, rewrapped=done.rewrapped, destroyed=done.destroyed)

    def _with_service(self, work: Callable[[Service], Awaitable[T]]) -> T:
        async def run() -> T:
            keys = open_keys(self._standing)
            await asyncio.to_thread(self._guard, keys)
            # A pool of its own beside a running service's need not be large.
            settings = replace(self._settings, db_pool_size=2)
            async with open_service(settings, self._standing, keys) as service:
                return await work(service)

        return asyncio.run(run())


def _context(at: datetime) -> Context:
    command_id = uuid4()
    return Context(actor=OPERATOR, at=at.astimezone(UTC), command_id=command_id, correlation_id=command_id)
