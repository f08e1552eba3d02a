"""Who can log in: names and credentials, read where the append writes them, never behind the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from application.ports import Credential, NameKind
from domain.errors import Unavailable
from domain.values import Role, Status
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.reads import PointReads

# One statement sees one moment: the row is as it was when the log ended at the position beside it.
_BY_ID = """
SELECT user_id, secret_hash, epoch, status, role, verified, carried, carried_from,
       (SELECT coalesce(max(position), 0) FROM events)
FROM credentials WHERE user_id = ANY(%b::uuid[])"""

_BY_NAME = """
SELECT n.digest, s.user_id, s.secret_hash, s.epoch, s.status, s.role, s.verified, s.carried, s.carried_from,
       (SELECT coalesce(max(position), 0) FROM events)
FROM names n JOIN credentials s USING (user_id)
WHERE n.kind IN ('email', 'username') AND n.digest = ANY(%b::bytea[])"""

_REHASH = "UPDATE credentials SET secret_hash = %s WHERE user_id = %s AND secret_hash = %s"


class PostgresAccounts:
    """Implements the port Accounts."""

    def __init__(self, conninfo: str, keyring: Keyring, pool: AsyncConnectionPool) -> None:
        self._keyring = keyring
        self._pool = pool
        self._by_id = PointReads(conninfo, _BY_ID, _by_id)
        self._by_name = PointReads(conninfo, _BY_NAME, _by_name)

    async def find(self, login: str) -> Credential | None:
        kind: Literal["email", "username"] = "email" if "@" in login else "username"
        return await self._by_name.get(self._keyring.digest(kind, login))

    async def of(self, user_id: UUID) -> Credential | None:
        return await self._by_id.get(user_id)

    async def holder(self, kind: NameKind, entered: str) -> UUID | None:
        found = await self._by_name.get(self._keyring.digest(kind, entered))
        return found.user_id if found else None

    async def had_admin(self) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT 1 FROM names WHERE kind = 'first_admin'")
            return await cursor.fetchone() is not None

    async def rehashed(self, user_id: UUID, old: str, new: str) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_REHASH, (new, user_id, old))
        except psycopg.OperationalError:
            raise Unavailable from None

    async def close(self) -> None:
        await self._by_id.close()
        await self._by_name.close()


def credential(row: Sequence[Any]) -> Credential:
    """What a row of `credentials` says, and at which position of the log it said so."""
    user_id, secret_hash, epoch, status, role, verified, carried_session, carried_from, as_of = row
    return Credential(
        user_id=user_id,
        secret_hash=secret_hash,
        epoch=epoch,
        status=Status(status),
        role=Role(role),
        verified=verified,
        carried_session=carried_session,
        carried_from=carried_from,
        as_of=as_of,
    )


def _by_id(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, Credential]]:
    return ((row[0], credential(row)) for row in rows)


def _by_name(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[bytes, Credential]]:
    return ((bytes(row[0]), credential(row[1:])) for row in rows)
