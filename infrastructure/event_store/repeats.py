"""What became of commands that came with an Idempotency-Key: found for their repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from application.messages import Receipt, Repeat
from domain.errors import KeyReused
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.reads import PointReads

_FIND = """
SELECT r.digest, r.request, r.status, r.expires_at, r.user_id, r.position, e.version
FROM idempotency_keys r JOIN events e USING (position)
WHERE r.digest = ANY(%b::bytea[])"""


class Found(msgspec.Struct, frozen=True):
    request: bytes
    status: int
    expires_at: datetime
    user_id: UUID
    position: int
    version: int

    def answer(self, repeat: Repeat, at: datetime) -> Receipt | None:
        """What a repeat is told at a time. Raises KeyReused where it is none."""
        if self.expires_at <= at:
            return None
        if self.request != repeat.request:
            raise KeyReused
        return Receipt(
            user_id=self.user_id, version=self.version, position=self.position, replayed=self.status
        )


class PostgresRepeats:
    """Implements the port Repeats over the rows that the append writes."""

    def __init__(self, conninfo: str, keyring: Keyring) -> None:
        self._keyring = keyring
        self._found: PointReads[bytes, Found] = PointReads(conninfo, _FIND, _by_digest)

    def mark(self, caller: UUID | None, key: str, request: Iterable[bytes], status: int) -> Repeat:
        digest, hashed = self._keyring.repeat_digests(caller, key, request)
        return Repeat(digest=digest, request=hashed, status=status)

    async def find(self, repeat: Repeat, at: datetime) -> Receipt | None:
        found = await self._found.get(repeat.digest)
        return found.answer(repeat, at) if found else None

    async def close(self) -> None:
        await self._found.close()


def _by_digest(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[bytes, Found]]:
    for digest, request, *rest in rows:
        yield bytes(digest), Found(bytes(request), *rest)
