"""Keeps a process in step with the signing keys of the database, within seconds and at little cost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import psycopg
from cryptography.exceptions import InvalidTag
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.cancelling import heed_cancellation
from application.outages import Outage
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.complaints import cause
from infrastructure.postgres.notifications import Signal
from infrastructure.tokens.key_store import SELECT
from infrastructure.tokens.signing import SigningKey, unsealed

LOOKS_EVERY = 15.0
AT_MOST_EVERY = 1.0
"""Seconds between two looks: tokens with key ids that anybody made up cost no more than that."""

log = logging.getLogger("usersd.keys")


class KeyWatch:
    """Hands over the keys whenever they may have changed; setting `wanted` asks for a look soon."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        keyring: Keyring,
        signal: Signal,
        wanted: asyncio.Event,
        use: Callable[[Sequence[SigningKey]], None],
    ) -> None:
        self._pool = pool
        self._keyring = keyring
        self._signal = signal
        self._use = use
        self._wanted = wanted
        self._opened: dict[bytes, SigningKey] = {}
        self.looks = 0
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(log, "whether the signing keys have changed cannot be read")

    async def __aenter__(self) -> KeyWatch:
        self._signal.listeners.append(self._heard)
        self._task = asyncio.create_task(self._run(), name="signing keys")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._signal.listeners.remove(self._heard)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _heard(self, _: str) -> None:
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            heed_cancellation()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOKS_EVERY):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                self._use(await self._read())
                self._outage.is_over()
            except (psycopg.Error, PoolTimeout) as error:
                self._outage.goes_on(cause(error))
            except InvalidTag:
                log.error("the root key was replaced: restart this process with the new one")
            await asyncio.sleep(AT_MOST_EVERY)

    async def _read(self) -> list[SigningKey]:
        self.looks += 1
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT)
            rows = await cursor.fetchall()
        opened = {}
        for wrapped, state, *_ in rows:
            sealed = bytes(wrapped)
            key = self._opened.get(sealed) or unsealed(sealed, self._keyring, state)
            key.state = state
            opened[sealed] = key
        self._opened = opened
        return list(opened.values())
