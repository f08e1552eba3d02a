"""How far each erasure is: rows of the table `erasures`, written step by step and never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from infrastructure.erasure.certificate import Chain
from infrastructure.erasure.erasers import remove
from projections.catalogue import READ_MODELS

BATCH = 100

_READY = """
e.cleared_at IS NOT NULL AND e.position <= (
    SELECT min(p.position) FROM projections p
    JOIN unnest(%(names)s::text[], %(versions)s::int[]) AS m (name, version) USING (name, version)
    WHERE p.live OR p.advanced_at > now() - interval '10 minutes')"""

_WORK = f"""
SELECT user_id, noted_at IS NULL FROM erasures e
WHERE certificate IS NULL AND (noted_at IS NULL OR {_READY})
ORDER BY position LIMIT {BATCH}"""  # noqa: S608

_OPEN = "SELECT EXISTS (SELECT 1 FROM erasures WHERE certificate IS NULL)"

_REQUESTED = "SELECT requested_at FROM erasures WHERE user_id = %s"
_NOTED = "UPDATE erasures SET noted_at = coalesce(noted_at, now()) WHERE user_id = %s"
_REMOVED = "UPDATE erasures SET removed = %s WHERE user_id = %s"
_CERTIFIED = """
UPDATE erasures SET certificate = %s, certified_at = now() WHERE certificate IS NULL AND user_id = %s"""

_FACTS = """
SELECT e.requested_at, k.epoch, e.removed, e.messages, e.cleared_at, e.noted_at, encode(r.fingerprint, 'hex'),
       v.version, v.position, encode(v.hash, 'hex')
FROM erasures e JOIN user_keys k USING (user_id), root_key r,
     LATERAL (SELECT version, position, hash FROM events
              WHERE stream_id = e.user_id ORDER BY version DESC LIMIT 1) AS v
WHERE e.user_id = %s AND k.wrapped IS NULL"""


_UNHEEDED = """
SELECT user_id FROM credentials WHERE user_id = ANY(%s) AND status <> 'erased' ORDER BY user_id"""


class Work(msgspec.Struct, frozen=True):
    """An erasure that can go on: at its first step, or at its last ones."""

    user_id: UUID
    begins: bool


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says of an erasure whose steps are done."""

    key_destroyed_at: datetime
    epoch: int
    removed: Mapping[str, int]
    messages: int
    cleared_at: datetime
    noted_at: datetime
    root_key: str
    chain: Chain


class Record:
    """The table `erasures` over a pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._models = {
            "names": [model.name for model in READ_MODELS],
            "versions": [model.version for model in READ_MODELS],
        }

    async def work(self) -> tuple[list[Work], bool]:
        """What can go on, the oldest first, and whether there are open erasures at all.

        One can be finished when the stream is cleared and every read model has come past its request.
        """
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_OPEN)).fetchone()
            if row is None or not row[0]:
                return [], False
            cursor = await connection.execute(_WORK.encode(), self._models)
            return [Work(*found) for found in await cursor.fetchall()], True

    async def noted(self, user_id: UUID) -> None:
        """The ledger has the user on disk."""
        await self._execute(
            "UPDATE erasures SET noted_at = coalesce(noted_at, now()) WHERE user_id = %s", user_id
        )

    async def requested_at(self, user_id: UUID) -> datetime:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_REQUESTED, (user_id,))
            row = await cursor.fetchone()
            assert row is not None
            found: datetime = row[0]
            return found

    async def remove(self, user_id: UUID, more: Mapping[str, int]) -> None:
        """Empty every table of the user and count what was there; `more` is counted too."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT removed FROM erasures WHERE user_id = %s FOR UPDATE", (user_id,)
            )
            row = await cursor.fetchone()
            assert row is not None
            removed: dict[str, int] = row[0]
            for counts in (await remove(connection, user_id), more):
                for name, count in counts.items():
                    removed[name] = removed.get(name, 0) + count
            await connection.execute(_REMOVED, (Jsonb(removed), user_id))

    async def facts(self, user_id: UUID) -> Facts:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FACTS, (user_id,))).fetchone()
        assert row is not None, "the key of an erased user is there still"
        requested_at, epoch, removed, messages, cleared_at, noted_at, root_key, *chain = row
        return Facts(
            key_destroyed_at=requested_at,
            epoch=epoch,
            removed=removed,
            messages=messages,
            cleared_at=cleared_at,
            noted_at=noted_at,
            root_key=root_key,
            chain=Chain(events=chain[0], position=chain[1], hash=chain[2]),
        )

    async def certified(self, user_id: UUID, certificate: str) -> None:
        """Keep the certificate; the first one stays."""
        await self._execute(_CERTIFIED, certificate, user_id)

    async def unheeded(self, user_ids: Sequence[UUID]) -> list[UUID]:
        """Those of some users whom this database knows and has not erased."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_UNHEEDED, (list(user_ids),))
            return [user_id for (user_id,) in await cursor.fetchall()]

    async def _execute(self, statement: str, *values: object) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(statement.encode(), values)
