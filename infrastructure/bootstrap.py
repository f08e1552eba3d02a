"""The composition root: read from top to bottom, it says which adapter stands behind each port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, LiteralString
from uuid import uuid4

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from application.bus import Bus
from application.commands import COMMANDS
from application.ports import Change, Clock, PasswordHasher, Ports, Rules
from application.queries import QUERIES
from infrastructure.accounts import PostgresAccounts
from infrastructure.clock import SystemClock
from infrastructure.cursors import SealedCursors
from infrastructure.directory import PostgresDirectory
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.nats.relay import Relay
from infrastructure.passwords import BcryptHasher
from infrastructure.postgres.claims import PostgresClaims
from infrastructure.postgres.notifications import EVENTS, PROJECTIONS, Notifications
from infrastructure.repeats import PostgresRepeats
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.sessions import PostgresSessions
from infrastructure.visibility import PostgresVisibility
from interfaces.scheduler import Job, Scheduler
from projections.catalogue import READ_MODELS
from projections.projector import Projector

SETTLED: LiteralString = "SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0"
"""Every statement over the pool has an index to go by, and none is worth compiling or a second core."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A running service without its HTTP server."""

    bus: Bus
    tokens: LocalTokens
    projectors: list[Projector]
    relay: Relay
    scheduler: Scheduler
    instance_id: str
    pool: Any
    nats_url: str


class _Remembering(PostgresEventLog):
    """The log, telling this process's memory of accounts what it has just changed."""

    accounts: PostgresAccounts

    async def append(self, change: Change) -> int:
        position = await super().append(change)
        self.accounts.forget(change.after.id)
        return position


@asynccontextmanager
async def open_service(
    settings: Settings,
    standing: Standing,
    keys: Keys,
    *,
    clock: Clock | None = None,
    hasher: PasswordHasher | None = None,
) -> AsyncIterator[Service]:
    """Wire the service. Any part can be replaced by keyword; everything is closed on the way out."""
    async with AsyncExitStack() as stack:
        notifications = await stack.enter_async_context(Notifications(standing.direct, EVENTS, PROJECTIONS))
        appender = await stack.enter_async_context(Appender(standing.direct))
        pool = await _pool(stack, settings, standing)

        accounts = PostgresAccounts(standing.conninfo, keys.keyring, pool)
        stack.push_async_callback(accounts.close)
        streams = stream_reads(standing.conninfo)
        stack.push_async_callback(streams.close)
        log = _Remembering(streams, appender, keys.mapper, keys.keyring, standing.conninfo)
        log.accounts = accounts
        directory = PostgresDirectory(standing.conninfo, pool)
        stack.push_async_callback(directory.close)
        visibility = await stack.enter_async_context(
            PostgresVisibility(standing.conninfo, notifications.signals[PROJECTIONS])
        )
        if hasher is None:
            hasher = bcrypt = BcryptHasher(settings.bcrypt_cost)
            stack.callback(bcrypt.close)
        tokens = LocalTokens(
            keys.signing,
            life=settings.access_token_duration,
            issuer=settings.issuer,
            audience=settings.audience,
        )
        repeats = PostgresRepeats(standing.conninfo, keys.keyring, pool)
        stack.push_async_callback(repeats.close)
        ports = Ports(
            log=log,
            accounts=accounts,
            repeats=repeats,
            directory=directory,
            cursors=SealedCursors(keys.keyring.cursor_key),
            visibility=visibility,
            tokens=tokens,
            sessions=PostgresSessions(
                pool, keys.keyring, life=settings.refresh_token_duration, issuer=settings.issuer
            ),
            hasher=hasher,
            clock=clock or SystemClock(),
            rules=Rules(
                self_register=settings.self_register,
                unverified_allowed=settings.unverified_allowed,
                secret_allowed=settings.secret_allowed,
            ),
        )
        wake_up = notifications.signals[EVENTS]
        jobs: list[Job] = []
        yield Service(
            bus=Bus(ports, COMMANDS, QUERIES),
            tokens=tokens,
            projectors=[Projector(model, keys.reader, standing.direct, wake_up) for model in READ_MODELS],
            relay=Relay(
                keys.reader,
                standing.direct,
                standing.nats_url,
                wake_up,
                pii="none" if settings.events_pii == "none" else "full",
                replicas=settings.stream_replicas,
                max_age=settings.stream_max_age.total_seconds() if settings.stream_max_age else None,
            ),
            scheduler=Scheduler(jobs, PostgresClaims(pool)),
            instance_id=settings.instance_id or str(uuid4()),
            pool=pool,
            nats_url=standing.nats_url,
        )


async def _pool(stack: AsyncExitStack, settings: Settings, standing: Standing) -> AsyncConnectionPool:
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        standing.conninfo,
        min_size=1,
        max_size=settings.db_pool_size,
        timeout=5.0,
        max_waiting=1000,
        kwargs={"autocommit": True},
        check=AsyncConnectionPool.check_connection,
        configure=_configure,
        open=False,
        name="usersd",
    )
    await pool.open()
    stack.push_async_callback(pool.close)
    return pool


async def _configure(connection: psycopg.AsyncConnection) -> None:
    await connection.execute(SETTLED)
