"""Service accounts in PostgreSQL: shown a secret, tells whose it is; and what operators do with them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg.rows import class_row

from application.clients import Client, ClientRevoked, ClientSecret, Scope, UnknownClient
from infrastructure.postgres.reads import PointReads

FRESH_FOR = 1.0
"""Seconds for which a process trusts what it read: the longest that a revoked one is honoured."""

SECRET_BYTES = 32
MOST_REMEMBERED = 1_000

_LIST = """
SELECT id, name, scopes, created_at, rotated_at, previous_until, revoked_at
FROM clients ORDER BY created_at, id"""

_FIND = """
SELECT id, secret_hash, previous_hash, previous_until, revoked_at,
       name, scopes, created_at, rotated_at
FROM clients WHERE id = ANY(%b::uuid[])"""


class _Kept(msgspec.Struct, frozen=True):
    secret_hash: bytes
    previous_hash: bytes | None
    client: Client

    def opens(self, shown: bytes, at: datetime) -> bool:
        """Whether a secret of this hash is honoured."""
        if self.client.revoked_at is not None:
            return False
        if hmac.compare_digest(shown, self.secret_hash):
            return True
        until = self.client.previous_until
        if self.previous_hash is None or until is None or until <= at:
            return False
        return hmac.compare_digest(shown, self.previous_hash)


class PostgresClients:
    """Implements the port Clients."""

    def __init__(self, conninfo: str) -> None:
        self._reads: PointReads[UUID, _Kept] = PointReads(conninfo, _FIND, _by_id)
        self._remembered: dict[UUID, tuple[float, _Kept | None]] = {}

    async def authenticate(self, client_id: UUID, secret: str, at: datetime) -> Client | None:
        kept = await self._find(client_id)
        shown = _hash(secret)
        return kept.client if kept and kept.opens(shown, at) else None

    async def close(self) -> None:
        await self._reads.close()

    async def _find(self, client_id: UUID) -> _Kept | None:
        now = time.monotonic()
        if (known := self._remembered.get(client_id)) and now - known[0] < FRESH_FOR:
            return known[1]
        kept = await self._reads.get(client_id)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[client_id] = (now, kept)
        return kept


class PostgresClientAdministration:
    """Implements ClientAdministration."""

    def __init__(self, conninfo: str, now: Callable[[], datetime]) -> None:
        self._conninfo = conninfo
        self._now = now

    def list(self) -> Sequence[Client]:
        with psycopg.connect(self._conninfo, autocommit=True, row_factory=class_row(Client)) as connection:
            return connection.execute(_LIST).fetchall()

    def add(self, name: str, scopes: Sequence[Scope]) -> ClientSecret:
        made = ClientSecret(id=uuid4(), name=name, scopes=list(dict.fromkeys(scopes)), secret=_new_secret())
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO clients (id, name, scopes, secret_hash, created_at) VALUES (%s, %s, %s, %s, %s)",
                (made.id, name, list(made.scopes), _hash(made.secret), self._now()),
            )
        return made

    def rotate(self, client_id: UUID, grace: timedelta) -> ClientSecret:
        secret, now = _new_secret(), self._now()
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            row = connection.execute(
                """UPDATE clients
                   SET previous_hash = secret_hash, previous_until = %s, secret_hash = %s, rotated_at = %s
                   WHERE id = %s AND revoked_at IS NULL RETURNING name, scopes""",
                (now + grace, _hash(secret), now, client_id),
            ).fetchone()
            if row is None:
                raise self._missing(connection, client_id)
        return ClientSecret(id=client_id, name=row[0], scopes=row[1], secret=secret)

    def revoke(self, client_id: UUID) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            done = connection.execute(
                "UPDATE clients SET revoked_at = coalesce(revoked_at, %s) WHERE id = %s",
                (self._now(), client_id),
            )
            if done.rowcount == 0:
                raise UnknownClient(client_id)

    def _missing(self, connection: psycopg.Connection, client_id: UUID) -> Exception:
        there = connection.execute("SELECT 1 FROM clients WHERE id = %s", (client_id,)).fetchone()
        return ClientRevoked(client_id) if there else UnknownClient(client_id)


def _new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _hash(secret: str) -> bytes:
    # A secret of 256 random bits cannot be guessed, however quick the hash.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _by_id(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[UUID, _Kept]]:
    for (
        client_id,
        secret_hash,
        previous_hash,
        until,
        revoked_at,
        name,
        scopes,
        created_at,
        rotated_at,
    ) in rows:
        client = Client(
            id=client_id,
            name=name,
            scopes=scopes,
            created_at=created_at,
            rotated_at=rotated_at,
            previous_until=until,
            revoked_at=revoked_at,
        )
        yield client_id, _Kept(bytes(secret_hash), bytes(previous_hash) if previous_hash else None, client)
