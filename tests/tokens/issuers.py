"""Whoever issues tokens, local or remote, in the one form that the contract is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from application.ports import AccessClaims, Credential, Sessions, Tokens
from infrastructure.auth_service.channel import Target
from infrastructure.auth_service.client import AuthService
from infrastructure.auth_service.connection import Connection
from infrastructure.auth_service.epochs import Epochs
from infrastructure.auth_service.keys import PublicKeys
from infrastructure.auth_service.sessions import RemoteSessions
from infrastructure.auth_service.tokens import RemoteTokens
from infrastructure.clock import SystemClock
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from tests.support.platform.auth import ISSUER, Auth
from tests.support.platform.keys_page import KeysPage
from tests.support.platform.spicedb import SpiceDB
from tests.tokens.conftest import Ground

ISSUERS = ("local", "EdDSA", "HS512")
"""Our own, and an Auth service whose tokens are checked by its keys, or by asking it."""


class Pair(msgspec.Struct, frozen=True):
    """What a login or a refresh answers with."""

    access: str
    refresh: str
    session: UUID


class Issuer:
    """Tokens and sessions of one issuer, over the same accounts."""

    def __init__(self, ground: Ground, tokens: Tokens, sessions: Sessions) -> None:
        self.ground = ground
        self.tokens = tokens
        self.sessions = sessions

    async def account(self, user_id: UUID | None = None) -> Credential:
        found = await self.ground.accounts.of(user_id or self.ground.ada)
        assert found is not None
        return found

    async def login(self, account: Credential | None = None, description: str = "") -> Pair:
        account = account or await self.account()
        grant, refresh = await self.sessions.open(account, description, now())
        access = await self.tokens.access_token(grant, account, now())
        return Pair(access, refresh, grant.session_id)

    async def refreshed(self, token: str) -> Pair:
        grant, refresh = await self.sessions.refresh(token, now())
        access = await self.tokens.access_token(grant, await self.account(grant.user_id), now())
        return Pair(access, refresh, grant.session_id)

    async def claims(self, token: str, later: timedelta = timedelta()) -> AccessClaims:
        return await self.tokens.claims(token, now() + later)


def now() -> datetime:
    return datetime.now(UTC)


class _Written:
    """The policies of a test are written by itself."""

    async def reached(self, user_id: UUID, within: float) -> bool:
        return False


@asynccontextmanager
async def remote(ground: Ground, algorithm: str) -> AsyncIterator[Issuer]:
    """The remote adapters on an Auth service of their own, over real gRPC."""
    spicedb = SpiceDB()
    spicedb.tuples.add(("platform:magistrala", "member", f"user:{ground.ada}"))
    auth = Auth(spicedb, algorithm)
    await auth.server.start()
    page = KeysPage(lambda: auth.jwks)
    keys = PublicKeys(page.url, timeout=10) if algorithm == "EdDSA" else None
    streams = stream_reads(ground.conninfo)
    log = PostgresEventLog(streams, ground.appender, ground.writer.mapper, ground.keyring, ground.conninfo)
    target = Target(address=auth.server.address, timeout=timedelta(seconds=10))
    client, epochs = AuthService(Connection("Auth service", target)), Epochs(ground.accounts, log)
    tokens = RemoteTokens(client, keys, epochs, issuer=ISSUER)
    sessions = RemoteSessions(client, tokens, epochs, _Written(), ground.pool, SystemClock())
    closing: list[Callable[[], Awaitable[None]]] = [sessions.close, streams.close, auth.server.kill]
    closing += [keys.close] if keys else []
    try:
        yield Issuer(ground, tokens, sessions)
    finally:
        for close in closing:
            await close()
        page.close()


@asynccontextmanager
async def issuer(ground: Ground, kind: str) -> AsyncIterator[Issuer]:
    """The issuer of a kind."""
    if kind == "local":
        yield Issuer(ground, ground.tokens, ground.sessions)
    else:
        async with remote(ground, kind) as made:
            yield made
