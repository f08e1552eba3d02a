"""The port Repeats over the in-memory log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from application.messages import Receipt, Repeat
from infrastructure.event_store.keyring import Keyring
from infrastructure.event_store.memory import MemoryRecorder
from infrastructure.event_store.repeats import Found


class MemoryRepeats:
    """Implements the port Repeats."""

    def __init__(self, recorder: MemoryRecorder, keys: Keyring) -> None:
        self._recorder = recorder
        self._keys = keys

    def mark(self, caller: UUID | None, key: str, request: Iterable[bytes], status: int) -> Repeat:
        digest, hashed = self._keys.repeat_digests(caller, key, request)
        return Repeat(digest=digest, request=hashed, status=status)

    async def find(self, repeat: Repeat, at: datetime) -> Receipt | None:
        if repeat.digest not in self._recorder.repeats:
            return None
        row, user_id, position = self._recorder.repeats[repeat.digest]
        (event,) = self._recorder.select_notifications(position, 1)
        version = event.originator_version
        return Found(row.request, row.status, row.expires_at, user_id, position, version).answer(repeat, at)
