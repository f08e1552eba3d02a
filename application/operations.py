"""What operators ask for and have done: where the read models stand, a rebuild, a look at the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from application.ports import Recorded, Unreadable


class UnknownProjection(Exception):
    """There is no read model of that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no projection {name!r}; there are: {', '.join(known)}.")


class RebuildRunning(Exception):
    """Another process is rebuilding the same read model."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt by another process; wait for it or end it.")


class NothingToSwitchTo(Exception):
    """No other generation of the read model is ready to be read."""

    def __init__(self, name: str, *, newer: bool) -> None:
        missing = "newer generation to switch to" if newer else "older generation to roll back to"
        super().__init__(f"{name} has no {missing}; usersd projections status shows what there is.")


class Named(msgspec.Struct, frozen=True):
    """A read model that this version knows."""

    name: str
    version: int


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where one generation of a read model stands. Lag is in events and in seconds."""

    name: str
    version: int
    generation: int
    state: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    advanced_at: datetime
    parked: int
    last_error: str | None


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that a projection cannot go on with."""

    projection: str
    user_id: UUID
    position: int
    event_name: str
    reason: str
    attempts: int
    parked_at: datetime


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild is: events done, events in the log, and what it is at."""

    done: int
    total: int
    stage: str


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did."""

    name: str
    generation: int
    position: int
    parked: int
    switched_in_milliseconds: float | None = None


class Switched(msgspec.Struct, frozen=True):
    """Which generation is read now, at which position, and for how long the switch held its locks."""

    name: str
    generation: int
    position: int
    milliseconds: float


class Operations(Protocol):
    """Operators' work on a database, with or without a service running on it."""

    def projections(self) -> Sequence[Named]: ...

    def status(self) -> Sequence[ProjectionStatus]: ...

    def parked(self) -> Sequence[Parked]: ...

    def rebuild(self, name: str, progress: Callable[[Progress], None], *, switching: bool = True) -> Rebuilt:
        """Rebuild a read model from the log. Raises UnknownProjection, RebuildRunning."""

    def switch(self, name: str, *, newer: bool) -> Switched:
        """Read the generation that was built, or the one from before. Raises NothingToSwitchTo."""

    def drop_old(self, name: str) -> Sequence[int]:
        """Drop the generations that were read before; answers with their numbers."""

    def tail(self, after: int, *, follow: bool) -> AsyncIterator[Recorded | Unreadable]:
        """The log after a position, and with `follow` whatever comes."""

    async def stream(self, user_id: UUID) -> Sequence[Recorded | Unreadable]:
        """Every event of one user in order."""

    async def head(self) -> int:
        """The position of the last event."""
