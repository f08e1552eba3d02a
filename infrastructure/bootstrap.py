"""The composition root: read from top to bottom, it says which adapter stands behind each port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from application.bus import Bus
from application.commands import COMMANDS
from application.ports import Clock, PasswordHasher, Ports, Rules
from application.queries import QUERIES
from infrastructure.accounts.breached import BreachedSecrets
from infrastructure.accounts.clients import PostgresClients
from infrastructure.accounts.holdings import PostgresHoldings
from infrastructure.accounts.lookup import PostgresAccounts
from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.accounts.security_log import PostgresSecurityLog
from infrastructure.accounts.throttle import PostgresThrottle
from infrastructure.clock import SystemClock
from infrastructure.erasure.wiring import Erasure, erasure
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.changes import PostgresChanges
from infrastructure.event_store.log import stream_reads
from infrastructure.event_store.repeats import PostgresRepeats
from infrastructure.event_store.tail import Tail
from infrastructure.integrity.announcing import NatsAnnouncer
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.checkpointer import Checkpointer
from infrastructure.integrity.file import file_of
from infrastructure.mail.follower import NAME as MAIL_FOLLOWER
from infrastructure.mail.mailer import Mailer, Surroundings, make_mailer
from infrastructure.nats.configured import access_of
from infrastructure.nats.relay import Relay
from infrastructure.nats.relays import Relays
from infrastructure.operations.checking import BackgroundCheck
from infrastructure.postgres.claims import PostgresClaims
from infrastructure.postgres.expiry import expiry_jobs
from infrastructure.postgres.notifications import (
    CHANNELS,
    ENDED_SESSIONS,
    EVENTS,
    GENERATIONS,
    PROJECTIONS,
    Notifications,
)
from infrastructure.postgres.pool import open_pool
from infrastructure.reads.cursors import SealedCursors
from infrastructure.reads.directory import open_directory
from infrastructure.reads.visibility import PostgresVisibility
from infrastructure.rebuilding import SpawnedWorkers
from infrastructure.remembering import RememberingLog
from infrastructure.roles import Role
from infrastructure.settings import Settings
from infrastructure.settings.address import own_address
from infrastructure.standing import Keys, Standing
from infrastructure.telemetry.call_home import CallHome
from infrastructure.telemetry.certificates import CertificateFiles
from infrastructure.telemetry.database import Database
from infrastructure.telemetry.metrics import Metrics, Sources
from infrastructure.telemetry.spans import tracing_of
from infrastructure.telemetry.use_cases import UseCaseTimes
from infrastructure.tokens.links import LinkTokens, PostgresLinks
from infrastructure.tokens.revocation import PostgresRevocations
from infrastructure.tokens.wiring import Ground, KnownTokens, issuer
from interfaces.scheduler import Job, Scheduler
from projections.catalogue import READ_MODELS
from projections.projector import Projector

if TYPE_CHECKING:
    from infrastructure.auth_service.reactor import Reactor
    from infrastructure.telemetry.tracing import Tracing


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A running service without its HTTP server."""

    bus: Bus
    appender: Appender
    tokens: KnownTokens
    projectors: list[Projector]
    reactors: Sequence[Reactor]
    relays: list[Relay]
    mailer: Mailer
    scheduler: Scheduler
    erasure: Erasure
    checkpointer: Checkpointer
    metrics: Metrics
    changes: PostgresChanges
    tracing: Tracing | None
    instance_id: str
    pool: Any
    nats_url: str


@asynccontextmanager
async def open_service(
    settings: Settings,
    standing: Standing,
    keys: Keys,
    *,
    clock: Clock | None = None,
    hasher: PasswordHasher | None = None,
    port: int | None = None,
    role: Role = Role.RUN,
) -> AsyncIterator[Service]:
    """Wire the service. Any part can be replaced by keyword; everything is closed on the way out.

    The role says what of the regular work is its own; `port` is where this process serves the API.
    """
    async with AsyncExitStack() as stack:
        instance_id = settings.instance_id or str(uuid4())
        if tracing := tracing_of(settings, instance_id, role):
            stack.push_async_callback(tracing.close)
        page_trace = tracing.page if tracing else None
        notifications = await stack.enter_async_context(Notifications(standing.direct, *CHANNELS))
        appender = await stack.enter_async_context(Appender(standing.direct))
        pool = await stack.enter_async_context(open_pool(standing.conninfo, settings.db_pool_size))

        accounts = PostgresAccounts(standing.conninfo, keys.keyring, pool)
        stack.push_async_callback(accounts.close)
        streams = stream_reads(standing.conninfo)
        stack.push_async_callback(streams.close)
        log = RememberingLog(streams, appender, keys.mapper, keys.keyring, standing.conninfo)
        revocations = await stack.enter_async_context(
            PostgresRevocations(
                standing.direct,
                accounts,
                [notifications.signals[channel] for channel in (EVENTS, ENDED_SESSIONS)],
                answers=role.answers,
            )
        )
        log.revocations, log.tracing = revocations, tracing
        directory = await stack.enter_async_context(open_directory(settings, standing, pool, role))
        visibility = await stack.enter_async_context(
            PostgresVisibility(standing.conninfo, notifications.signals[PROJECTIONS])
        )
        clock = clock or SystemClock()
        if hasher is None:
            hasher = bcrypt = BcryptHasher(settings.bcrypt_cost)
            stack.callback(bcrypt.close)
        token_ground = Ground(
            standing=standing,
            keyring=keys.keyring,
            pool=pool,
            signals=notifications.signals,
            accounts=accounts,
            log=log,
            revocations=revocations,
            clock=clock,
        )
        issues = await stack.enter_async_context(issuer(settings, token_ground))
        throttle = PostgresThrottle(standing.conninfo, keys.keyring, pool, enabled=settings.throttle)
        stack.push_async_callback(throttle.close)
        clients = PostgresClients(standing.conninfo)
        stack.push_async_callback(clients.close)
        changes = PostgresChanges(standing.conninfo, keys.reader, notifications.signals[EVENTS])
        stack.push_async_callback(changes.close)
        repeats = PostgresRepeats(standing.conninfo, keys.keyring)
        stack.push_async_callback(repeats.close)
        ports = Ports(
            log=log,
            accounts=accounts,
            repeats=repeats,
            directory=directory,
            cursors=SealedCursors(keys.keyring.cursor_key),
            visibility=visibility,
            tokens=issues.tokens,
            revocations=revocations,
            sessions=issues.sessions,
            links=PostgresLinks(LinkTokens(keys.keyring), pool),
            security_log=await stack.enter_async_context(PostgresSecurityLog(pool)),
            holdings=PostgresHoldings(pool),
            hasher=hasher,
            throttle=throttle,
            clients=clients,
            clock=clock,
            rules=Rules(
                self_register=settings.self_register,
                unverified_allowed=settings.unverified_allowed,
                secret_allowed=settings.secret_allowed,
                issuer=settings.issuer,
                audience=issues.audience,
                public_url=settings.public_url or own_address(settings, settings.http_port),
                **_breached(stack, settings),
            ),
        )
        wake_up, built = notifications.signals[EVENTS], notifications.signals[GENERATIONS]
        jobs: dict[Role, list[Job]] = {part: [] for part in Role}
        jobs[Role.SWEEPER] += expiry_jobs(pool, ports.clock, settings.security_log_retention)
        if settings.send_telemetry and settings.telemetry_url:
            jobs[Role.SWEEPER].append(CallHome(settings.telemetry_url, pool, version("usersd")).job())
        mailer = make_mailer(
            settings,
            standing,
            keys,
            Surroundings(
                pool=pool,
                wake_up=wake_up,
                clock=ports.clock,
                security_log=ports.security_log,
                port=port or settings.http_port,
            ),
        )
        jobs[Role.MAILER].append(mailer.job())
        if often := settings.projection_check:
            jobs[Role.PROJECTOR].append(BackgroundCheck(standing.direct, keys.reader, often).job())
        tail, workers = Tail(keys.mapper, keys.keyring, wake_up), SpawnedWorkers(standing)
        relays = Relays(settings, tail, standing.direct, standing.nats_url, tail.signal, page_trace)
        jobs[Role.RELAY] += relays.jobs()
        use_cases, stopping = UseCaseTimes(), asyncio.Event()
        bus = Bus(ports, COMMANDS, QUERIES, use_cases.add, tracing.use_case if tracing else None)
        erasing = erasure(settings, standing, keys, pool, bus, stopping)
        jobs[Role.SWEEPER] += [*issues.jobs, *erasing.jobs]
        own = [job for part, found in jobs.items() if role.does(part) for job in found]
        every = [job for found in jobs.values() for job in found]
        scheduler = Scheduler(own, PostgresClaims(pool), stopping)
        figures = Database(
            standing.direct,
            {one.name: one.version for one in READ_MODELS},
            relays.names,
            reactors=[MAIL_FOLLOWER, *(reactor.name for reactor in issues.reactors)],
            jobs=[job.name for job in every],
        )
        stack.push_async_callback(figures.close)
        metrics = Metrics(
            Sources(
                version=version("usersd"),
                role=role,
                database=figures,
                appender=appender,
                pool=pool,
                replica=directory.replica,
                hasher=hasher,
                use_cases=use_cases,
                certificates=CertificateFiles.of(settings, answers=role.answers),
                relays=relays.told,
                jobs=every,
                signed_within=settings.checkpoint_interval,
                turns=scheduler.turns,
                mails=mailer.tried,
            )
        )
        yield Service(
            bus=bus,
            appender=appender,
            tokens=issues.tokens,
            projectors=[
                Projector(model, tail, standing.direct, tail.signal, page_trace, workers, built)
                for model in READ_MODELS
            ],
            reactors=issues.reactors,
            relays=relays.told,
            mailer=mailer,
            scheduler=scheduler,
            erasure=erasing,
            checkpointer=Checkpointer(
                standing.direct,
                key_of(keys.keyring),
                file_of(settings),
                events=settings.checkpoint_events,
                interval=settings.checkpoint_interval,
                announce=NatsAnnouncer(standing.nats_url, access_of(settings)) if standing.nats_url else None,
            ),
            metrics=metrics,
            changes=changes,
            tracing=tracing,
            instance_id=instance_id,
            pool=pool,
            nats_url=standing.nats_url,
        )


def _breached(stack: AsyncExitStack, settings: Settings) -> dict[str, Any]:
    if settings.breached_secrets is None:
        return {}
    breached = BreachedSecrets(settings.breached_secrets)
    stack.callback(breached.close)
    return {"secret_breached": breached.holds}
