"""Sealing epochs: begins a new one, has it wrap every user's key, destroys the ones before.

A key that was destroyed leaves its wrapped form in WAL, replicas and backups. Destroying the epoch that
wrapped it closes those to everybody who has not a copy of that epoch, too. Each step can be killed and is
found again from what stands in the tables; requests go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg

from application.cancelling import heed_cancellation
from application.outages import Outage
from infrastructure.event_store.keyring import LOCK, Keyring
from infrastructure.postgres.complaints import cause

BATCH = 500
_APPEND_LOCK = 7310580243119865

_USEFUL = """
SELECT EXISTS (SELECT 1 FROM user_keys k WHERE k.epoch = m.epoch AND k.wrapped IS NULL), m.epoch
FROM (SELECT max(epoch) AS epoch FROM keyring WHERE purpose = 'seal') AS m"""

_OLDER = """
SELECT user_id, epoch, wrapped FROM user_keys
WHERE wrapped IS NOT NULL AND epoch < %s ORDER BY epoch LIMIT %s"""

# One that was destroyed meanwhile stays so.
_REWRAP = """
UPDATE user_keys k SET epoch = %s, wrapped = n.wrapped
FROM unnest(%s::uuid[], %s::int4[], %s::bytea[]) AS n (user_id, epoch, wrapped)
WHERE k.user_id = n.user_id AND k.epoch = n.epoch AND k.wrapped IS NOT NULL"""

_DESTROY = """
UPDATE keyring SET wrapped = NULL, destroyed_at = now()
WHERE purpose = 'seal' AND epoch < %s AND wrapped IS NOT NULL RETURNING epoch"""

log = logging.getLogger("usersd.keys")


class Changed(msgspec.Struct, kw_only=True):
    """What a change of epochs did: the present epoch, keys that it wrapped anew, epochs destroyed."""

    epoch: int
    rewrapped: int = 0
    destroyed: list[int] = []
    stopped: bool = False


def begin(connection: psycopg.Connection, keyring: Keyring, *, always: bool = False) -> int | None:
    """Begin a new epoch, unless nothing was destroyed under the present one; its number.

    Raises keyring.RootKeyReplaced.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        keyring.require_root(connection)
        row = connection.execute(_USEFUL).fetchone()
        assert row is not None
        useful, present = row
        if not (useful or always):
            return None
        wrapped = keyring.wrap(os.urandom(32), f"seal/{present + 1}")
        connection.execute(
            "INSERT INTO keyring (purpose, epoch, wrapped) VALUES ('seal', %s, %s)", (present + 1, wrapped)
        )
    keyring.learn()
    return int(present) + 1


def change(
    connection: psycopg.Connection, keyring: Keyring, stopped: Callable[[], bool] = lambda: False
) -> Changed:
    """Have the present epoch wrap every key, in batches, then destroy the epochs before it."""
    keyring.learn()
    done = Changed(epoch=keyring.epoch)
    while rows := connection.execute(_OLDER, (done.epoch, BATCH)).fetchall():
        if stopped():
            done.stopped = True
            return done
        anew = [keyring.rewrapped(user_id, epoch, wrapped, done.epoch) for user_id, epoch, wrapped in rows]
        users, epochs, _ = zip(*rows, strict=True)
        done.rewrapped += connection.execute(_REWRAP, (done.epoch, list(users), list(epochs), anew)).rowcount
    with connection.transaction():
        # Under this lock nobody stores a new key; what was stored just before is wrapped in the next turn.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_APPEND_LOCK,))
        if connection.execute(_OLDER, (done.epoch, 1)).fetchone() is None:
            done.destroyed = [row[0] for row in connection.execute(_DESTROY, (done.epoch,)).fetchall()]
    return done


class EpochChanges:
    """The change of epochs as regular work."""

    def __init__(self, conninfo: str, keyring: Keyring, stopping: asyncio.Event) -> None:
        self._conninfo = conninfo
        self.keyring = keyring
        self._stopping = stopping

    async def begin(self) -> str:
        """Begin an epoch where that closes something; a line on it."""
        number = await asyncio.to_thread(self._connected, begin)
        return f"began sealing epoch {number}" if number else ""

    async def go_on(self) -> str:
        """Go on with a change that was begun; a line on what was done, empty where that is nothing."""
        done = await asyncio.to_thread(
            self._connected, lambda connection, keyring: change(connection, keyring, self._stopping.is_set)
        )
        if not (done.rewrapped or done.destroyed):
            return ""
        return f"{done.rewrapped} keys wrapped by epoch {done.epoch}, epochs destroyed: {done.destroyed}"

    async def follow(self, every: float = 20.0) -> None:
        """Keep this process's keyring up to date until cancelled."""
        outage = Outage(log, "the keyring cannot be read anew")
        while True:
            heed_cancellation()
            await asyncio.sleep(every)
            try:
                await asyncio.to_thread(self.keyring.learn)
                outage.is_over()
            except psycopg.Error as error:
                outage.goes_on(cause(error))

    def _connected(self, work: Callable[[psycopg.Connection, Keyring], Any]) -> Any:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            return work(connection, self.keyring)
