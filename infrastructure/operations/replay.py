"""Replays the log for one consumer, from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import psycopg

from application.replaying import Replay, Replayed, ReplayStopped
from infrastructure.nats.configured import access_of
from infrastructure.nats.connection import BrokerUnreachable, close, connect
from infrastructure.nats.outgoing import Limits
from infrastructure.nats.replaying import Replaying, check_subject
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from interfaces.events.published import tell
from interfaces.events.telling import Mode, Pii


class PostgresReplays:
    """Implements the port Replays, in the form and mode of the settings."""

    def __init__(self, standing: Standing, settings: Settings, keys: Keys) -> None:
        self._standing = standing
        self._keys = keys
        self._access = access_of(settings)
        pii: Pii = "none" if settings.events_pii == "none" else "full"
        mode: Mode = "binary" if settings.events_mode == "binary" else "structured"
        self._tell = partial(tell, pii=pii, mode=mode)

    def replay(self, wanted: Replay, moved: Callable[[int, int], None]) -> Replayed:
        check_subject(wanted.to)
        return asyncio.run(self._replay(wanted, moved))

    async def _replay(self, wanted: Replay, moved: Callable[[int, int], None]) -> Replayed:
        try:
            client = await connect(self._standing.nats_url, name="usersd replay", access=self._access)
        except BrokerUnreachable as error:
            raise ReplayStopped(wanted.after, str(error)) from None
        try:
            async with await psycopg.AsyncConnection.connect(
                self._standing.direct, autocommit=True
            ) as connection:
                limits = Limits(self._tell, client.max_payload)
                return await Replaying(connection, self._keys.reader, client, limits, moved).run(wanted)
        finally:
            await close(client)
