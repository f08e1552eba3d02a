"""What operators ask for and have done: where the read models stand, a rebuild, a look at the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from application.ports import Recorded, Unreadable
from application.projections import ReadModelOperations


class UnknownProjection(Exception):
    """There is no read model of that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no projection {name!r}; there are: {', '.join(known)}.")


class RebuildRunning(Exception):
    """Another process is rebuilding the same read model."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt by another process; wait for it or end it.")


class WorkerLost(Exception):
    """A process that filled a part of a rebuild ended before it was done; `code` as of subprocess."""

    def __init__(self, code: int) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        super().__init__(f"A worker of the rebuild {how}. Called again, the rebuild goes on where it was.")


class NothingToSwitchTo(Exception):
    """No other generation of the read model is ready to be read."""

    def __init__(self, name: str, *, newer: bool) -> None:
        missing = "newer generation to switch to" if newer else "older generation to roll back to"
        super().__init__(f"{name} has no {missing}; usersd projections status shows what there is.")


class SwitchBlocked(Exception):
    """Long queries or a backup never let a switch in; the generation that was read is read still."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: a long query or a backup reads it all the time, and the switch would make others wait "
            f"for it. Call usersd projections switch {name} when it has ended."
        )


class Named(msgspec.Struct, frozen=True):
    """A read model that this version knows."""

    name: str
    version: int


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild is: what it is at, and how much of that is done."""

    done: int
    total: int
    stage: str
    unit: str = "events"


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did; `corrected` counts the users whom the old generation, at the same position, had
    otherwise.
    """

    name: str
    generation: int
    position: int
    parked: int
    switched_in_milliseconds: float | None = None
    corrected: int = 0


class Switched(msgspec.Struct, frozen=True):
    """Which generation is read now, at which position, and for how long the switch held its locks."""

    name: str
    generation: int
    position: int
    milliseconds: float


class Dropped(msgspec.Struct, frozen=True):
    """What is gone: a generation, or every generation of an older version."""

    version: int
    generation: int


class Operations(ReadModelOperations, Protocol):
    """Operators' work on a database, with or without a service running on it."""

    def projections(self) -> Sequence[Named]: ...

    def rebuild(
        self,
        name: str,
        progress: Callable[[Progress], None],
        *,
        switching: bool = True,
        anyway: bool = False,
        anew: bool = False,
        parallel: int | None = None,
        rate: float | None = None,
        gentle: bool = True,
    ) -> Rebuilt:
        """Rebuild a read model from the log, with so many workers, at so many events a second at most.

        `gentle` leaves others what they want of the machine.
        Raises UnknownProjection, RebuildRunning, WorkerLost, NotProven.
        """

    def switch(self, name: str, *, newer: bool) -> Switched:
        """Read the generation that was built, or the one from before. Raises NothingToSwitchTo."""

    def drop_old(self, name: str) -> Sequence[Dropped]:
        """Drop the generations that were read before, and older versions that no process goes on with."""

    def tail(self, after: int, *, follow: bool) -> AsyncIterator[Recorded | Unreadable]:
        """The log after a position, and with `follow` whatever comes."""

    async def stream(self, user_id: UUID) -> Sequence[Recorded | Unreadable]:
        """Every event of one user in order."""

    async def head(self) -> int:
        """The position of the last event."""
