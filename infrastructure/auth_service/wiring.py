"""Puts together everything that the Auth service of the platform takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import msgspec
from psycopg_pool import AsyncConnectionPool

from application.ports import Accounts, Clock, EventLog
from infrastructure.auth_service import closing, domains, policies
from infrastructure.auth_service.channel import Target
from infrastructure.auth_service.client import AuthService
from infrastructure.auth_service.closing import Closing
from infrastructure.auth_service.connection import Connection
from infrastructure.auth_service.domains import Domains
from infrastructure.auth_service.epochs import Epochs
from infrastructure.auth_service.keys import PublicKeys
from infrastructure.auth_service.policies import Policies
from infrastructure.auth_service.reactor import LEASE_SECONDS, Reactor
from infrastructure.auth_service.sessions import RemoteSessions
from infrastructure.auth_service.tokens import RemoteTokens
from infrastructure.postgres.reactors import WakeUp
from infrastructure.settings import Settings

SHARED_SECRET = ("HS256", "HS384", "HS512")

LONGEST_CALL = timedelta(seconds=LEASE_SECONDS / 3)
"""A reactor is known to own its lease for no longer than that."""


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """The adapters of the Auth service, and the readers of the log that tell the platform of users."""

    tokens: RemoteTokens
    sessions: RemoteSessions
    reactors: Sequence[Reactor]


class Footing(msgspec.Struct, frozen=True, kw_only=True):
    """What of this service the adapters stand on; `direct` reaches PostgreSQL past any pooler."""

    direct: str
    pool: AsyncConnectionPool
    wake_up: WakeUp
    accounts: Accounts
    log: EventLog
    clock: Clock


@asynccontextmanager
async def auth_service(settings: Settings, here: Footing) -> AsyncIterator[Remote]:
    """Wire it; nothing is connected yet, so that nobody has to be there for this service to start."""
    async with AsyncExitStack() as stack:
        auth = AuthService(_connect(stack, "Auth service", _auth(settings)))
        keys = None
        if settings.auth_keys_algorithm not in SHARED_SECRET:
            patience = min(settings.auth_grpc_timeout, LONGEST_CALL).total_seconds()
            keys = PublicKeys(settings.auth_jwks_url, timeout=patience)
            stack.push_async_callback(keys.close)
        epochs = Epochs(here.accounts, here.log)
        tokens = RemoteTokens(auth, keys, epochs, issuer=settings.issuer)
        assert settings.spicedb_pre_shared_key is not None, "the settings refuse to start without it"
        written = Policies(
            _connect(stack, "SpiceDB", _spicedb(settings)),
            settings.spicedb_pre_shared_key.reveal(),
            here.pool,
        )
        told = Domains(_connect(stack, "Domains service", _domains(settings)))
        yield Remote(
            tokens=tokens,
            sessions=RemoteSessions(auth, tokens, epochs, written, here.pool, here.clock),
            reactors=[
                Reactor(policies.NAME, policies.CONCERNS, written.tell, here.direct, here.wake_up),
                Reactor(domains.NAME, domains.CONCERNS, told.tell, here.direct, here.wake_up),
                Reactor(
                    closing.NAME,
                    closing.CONCERNS,
                    Closing(auth, here.accounts).tell,
                    here.direct,
                    here.wake_up,
                ),
            ],
        )


def _connect(stack: AsyncExitStack, name: str, target: Target) -> Connection:
    connection = Connection(name, target)
    stack.push_async_callback(connection.close)
    return connection


def _auth(settings: Settings) -> Target:
    return Target(
        address=settings.auth_grpc_url or "",
        timeout=settings.auth_grpc_timeout,
        authorities=settings.auth_grpc_server_ca_certs,
        certificate=settings.auth_grpc_client_cert,
        key=settings.auth_grpc_client_key,
    )


def _domains(settings: Settings) -> Target:
    return Target(
        address=settings.domains_grpc_url or "",
        timeout=min(settings.domains_grpc_timeout, LONGEST_CALL),
        authorities=settings.domains_grpc_server_ca_certs,
        certificate=settings.domains_grpc_client_cert,
        key=settings.domains_grpc_client_key,
    )


def _spicedb(settings: Settings) -> Target:
    host = settings.spicedb_host or ""
    named = f"[{host}]" if ":" in host else host
    return Target(
        address=f"{named}:{settings.spicedb_port}",
        timeout=LONGEST_CALL,
        authorities=settings.spicedb_ca_certs,
    )
