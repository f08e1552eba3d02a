"""One line of a user's timeline, as people are shown it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class By(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did it; `id` only where it was a user."""

    kind: str
    id: UUID | None = None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to a user. `data` holds the new values of what it changed."""

    version: int
    position: int
    at: datetime
    event: str
    by: By
    data: dict[str, Any] = {}
    request_id: str = ""
