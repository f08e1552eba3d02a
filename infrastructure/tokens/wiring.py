"""The one place that chooses who issues and checks tokens: this service, or the platform's Auth service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from application.ports import Accounts, Clock, EventLog, Sessions, Tokens
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.notifications import EVENTS, KEYS, Signal
from infrastructure.settings import Settings
from infrastructure.standing import Standing
from infrastructure.tokens.issuing import Settling, issuing
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.revocation import PostgresRevocations
from infrastructure.tokens.sessions import PostgresSessions
from interfaces.scheduler import Job

if TYPE_CHECKING:
    from infrastructure.auth_service.reactor import Reactor


class KnownTokens(Tokens, Protocol):
    """Tokens that anybody can check with public keys."""

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""


class NamedLog(EventLog, Protocol):
    """The log, and the email that a token in Mainflux's form names its user by."""

    async def email_of(self, user_id: UUID) -> str: ...


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens stand on."""

    standing: Standing
    keyring: Keyring
    pool: AsyncConnectionPool
    signals: dict[str, Signal]
    accounts: Accounts
    log: NamedLog
    revocations: PostgresRevocations
    clock: Clock


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever was chosen, and what it has done regularly or all the time. `audience` is what tokens name."""

    tokens: KnownTokens
    sessions: Sessions
    jobs: Sequence[Job]
    reactors: Sequence[Reactor] = ()
    audience: str = ""


@asynccontextmanager
async def issuer(settings: Settings, ground: Ground) -> AsyncIterator[Issuer]:
    """The issuer that the settings name, for as long as this lasts."""
    settling = Settling(ground.standing.direct, ground.keyring, settings.signing_algorithm)
    chosen = _ours if settings.auth_grpc_url is None else _the_platforms
    async with (
        # The keys of our own sign certificates in any case.
        issuing(settings, settling, ground.pool, ground.signals[KEYS], ground.log.email_of) as tokens,
        chosen(settings, ground, tokens, [settling.job()]) as found,
    ):
        yield found


@asynccontextmanager
async def _ours(
    settings: Settings, ground: Ground, tokens: LocalTokens, jobs: Sequence[Job]
) -> AsyncIterator[Issuer]:
    sessions = PostgresSessions(
        ground.pool,
        ground.keyring,
        life=settings.refresh_token_duration,
        issuer=settings.issuer,
        access_life=settings.access_token_duration,
    )
    sessions.when_ended = ground.revocations.doubt
    try:
        yield Issuer(tokens=tokens, sessions=sessions, jobs=jobs, audience=settings.audience)
    finally:
        await sessions.close()


@asynccontextmanager
async def _the_platforms(
    settings: Settings, ground: Ground, tokens: LocalTokens, jobs: Sequence[Job]
) -> AsyncIterator[Issuer]:
    # Imported here because the libraries are large and nobody else needs them.
    from infrastructure.auth_service.wiring import Footing, auth_service

    footing = Footing(
        direct=ground.standing.direct,
        pool=ground.pool,
        wake_up=ground.signals[EVENTS],
        accounts=ground.accounts,
        log=ground.log,
        clock=ground.clock,
    )
    async with auth_service(settings, footing) as remote:
        remote.sessions.when_ended = ground.revocations.doubt
        yield Issuer(tokens=remote.tokens, sessions=remote.sessions, jobs=jobs, reactors=remote.reactors)
