"""Puts together what signs and checks access tokens: the keys, the watch over them, or the shared secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.notifications import Signal
from infrastructure.settings import Settings
from infrastructure.tokens.key_store import KeyStore
from infrastructure.tokens.key_watch import KeyWatch
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.mainflux import ALGORITHM, SAFE_BYTES, SharedSecret
from infrastructure.tokens.signing import SigningKey
from interfaces.scheduler import Job

SETTLES_EVERY = timedelta(minutes=1)

log = logging.getLogger("usersd.keys")


class Settling:
    """Sees to it that a key of the chosen algorithm signs, or will as soon as it may."""

    def __init__(self, conninfo: str, keyring: Keyring, algorithm: str) -> None:
        self._conninfo = conninfo
        self.keyring = keyring
        self._algorithm = algorithm

    def job(self) -> Job:
        return Job(name="signing keys", every=SETTLES_EVERY, run=self._run)

    def settle(self) -> tuple[str, list[SigningKey]]:
        """One line on what was done, if anything, and the keys."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            store = KeyStore(connection, self.keyring)
            # With a shared secret nothing is signed by a key; those there are go on checking.
            done = "" if self._algorithm == ALGORITHM else store.settle(self._algorithm)
            return done, store.all()

    async def _run(self) -> str:
        return (await asyncio.to_thread(self.settle))[0]


@asynccontextmanager
async def issuing(
    settings: Settings,
    settling: Settling,
    pool: AsyncConnectionPool,
    signal: Signal,
    email_of: Callable[[UUID], Awaitable[str]],
) -> AsyncIterator[LocalTokens]:
    """Tokens as the settings want them, in step with the keys of the database for as long as this lasts."""
    done, keys = await asyncio.to_thread(settling.settle)
    if done:
        log.info(done)
    wanted = asyncio.Event()
    tokens = LocalTokens(
        keys,
        life=settings.access_token_duration,
        issuer=settings.issuer,
        audience=settings.audience,
        shared=_shared(settings, email_of),
        unknown_key=wanted.set,
    )
    async with KeyWatch(pool, settling.keyring, signal, wanted, tokens.use):
        yield tokens


def _shared(settings: Settings, email_of: Callable[[UUID], Awaitable[str]]) -> SharedSecret | None:
    if settings.signing_algorithm != ALGORITHM:
        return None
    shared = SharedSecret(settings.secret_key.reveal(), email_of)
    if shared.is_short:
        log.warning(
            "MF_USERS_SECRET_KEY is shorter than %d bytes: whoever holds one token can try keys against it "
            "on machines of their own, and makes tokens for anybody once one fits. Take a longer one "
            "together with the parties that check with it.",
            SAFE_BYTES,
        )
    return shared
