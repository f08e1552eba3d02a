"""What operators are told of read models: where they stand, what is parked, verified and put right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec


class UnknownGeneration(Exception):
    """There is no generation of that number that is kept up to date."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(
            f"{name} has no generation {number} that is kept up to date; usersd projections status shows "
            "what there is."
        )


class NothingParked(Exception):
    """Nothing waits, or was discarded, at the place that was named."""

    def __init__(self, name: str, place: object) -> None:
        super().__init__(
            f"{name} has nothing parked or discarded for {place}; usersd projections parked list shows "
            "what there is."
        )


class UnknownUser(Exception):
    """Somebody was named of whom the log holds nothing, and the read model neither."""

    def __init__(self, name: str, user_id: UUID) -> None:
        super().__init__(f"There is no user {user_id} in the log, nor are there rows of them in {name}.")


class NotProven(Exception):
    """A generation that was built is not what the log says, so that it is not made the live one."""

    def __init__(self, name: str, number: int, differing: Sequence[UUID]) -> None:
        self.differing = differing
        users = ", ".join(str(user) for user in differing[:10])
        more = f" and {len(differing) - 10} more" if len(differing) > 10 else ""
        super().__init__(
            f"{name}: generation {number} is not what the log says for {users or 'its totals'}{more}; "
            "the old one is still read. usersd projections verify shows what differs; "
            "rebuild --switch-anyway reads it all the same, rebuild --anew begins again."
        )


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="generation"):
    """Where one generation of a read model stands. Lag is in events and in seconds, rate in events a second.

    `lag_seconds` is for how long the next event to apply has been waiting. `rate` and `eta_seconds` take two
    looks; None after one. `differing` counts the users whose rows were found not to be what the log says, and
    one more where `totals_differ` from the rows they count. `was_live` tells a generation that is kept for
    a way back from one that was built and not read yet.
    """

    name: str
    version: int
    generation: int
    state: Literal["building", "following", "live"]
    owner: str | None
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    rate: float | None = None
    eta_seconds: float | None = None
    advanced_at: datetime
    parked: int
    differing: int
    totals_differ: bool = False
    was_live: bool = False
    checked: int
    checked_at: datetime | None
    paused_at: datetime | None
    pause_reason: str | None
    last_error: str | None
    last_error_position: int | None
    last_error_event: str | None

    @property
    def is_well(self) -> bool:
        return not (self.parked or self.differing or self.last_error)


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="relay"):
    """What follows the log in order, and cannot go on from its position; all events behind it wait.

    `task` is `publishing` (a stream of messages) or `reacting` (mails, and what other services are told).
    """

    name: str
    task: Literal["publishing", "reacting"]
    position: int
    head: int
    lag_events: int
    advanced_at: datetime
    last_error: str


def paced(now: ProjectionStatus, before: ProjectionStatus | None, seconds: float) -> ProjectionStatus:
    """A status with the rate since an earlier one, and when the lag is gone at that rate."""
    if before is None or seconds <= 0:
        return now
    rate = max(now.position - before.position, 0) / seconds
    gaining = rate - max(now.head - before.head, 0) / seconds
    eta = 0.0 if not now.lag_events else round(now.lag_events / gaining, 1) if gaining > 0 else None
    return msgspec.structs.replace(now, rate=round(rate, 1), eta_seconds=eta)


class Parked(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="parked"):
    """A stream that a generation cannot go on with: the event that stopped it, and how many wait behind."""

    projection: str
    version: int
    generation: int
    user_id: UUID
    position: int
    event_name: str
    reason: str
    waiting: int
    attempts: int
    parked_at: datetime


class DiscardedEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="discarded"):
    """An event that a read model goes on without, by whose decision and why."""

    projection: str
    version: int
    user_id: UUID
    position: int
    event_version: int
    event_name: str
    reason: str
    by: str
    at: datetime


class Repaired(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="repaired"):
    """A user's rows were written anew; `parked_at` is the position at which the stream stops still."""

    name: str
    generation: int
    user_id: UUID
    position: int
    was_parked: bool
    parked_at: int | None
    reason: str | None


class Difference(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="difference"):
    """What is wrong with one user's rows, in numbers and names of columns; never a value.

    `missing` rows should be there, `extra` ones should not, `different` ones hold something else in
    `columns`.
    `unreadable` is the position of an event that stops the fold although the stream is not parked.
    """

    user_id: UUID
    missing: int = 0
    extra: int = 0
    different: int = 0
    columns: Sequence[str] = ()
    unreadable: int | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verified"):
    """What a verification found. `digest` is the sum of the hashes of the rows, the same for equal rows.

    `against` is `log` or the number of another generation. `disagreements` are places where totals do not
    agree with the rows they count. `differences` holds the first thousand, `differing` counts them all;
    `skipped` are users who are being erased or, between generations, are ahead in one of them.
    """

    name: str
    generation: int
    against: str
    position: int
    users: int
    rows: int
    digest: str
    parked: int
    skipped: int
    differing: int
    seconds: float
    disagreements: Sequence[str] = ()
    differences: Sequence[Difference] = ()

    @property
    def holds(self) -> bool:
        return not self.differing and not self.disagreements


class Stepped(msgspec.Struct, frozen=True):
    """How far a verification is, in users."""

    done: int
    total: int
    differing: int


Step = Callable[[Stepped], None]


class ReadModelOperations(Protocol):
    """What operators see of the read models and do to them. A name that is none raises UnknownProjection."""

    def status(self) -> Sequence[ProjectionStatus]: ...

    def held(self) -> Sequence[RelayStatus]:
        """The relays and reactors that have events before them and were kept from going on."""

    def parked(self) -> Sequence[Parked]: ...

    def discarded(self) -> Sequence[DiscardedEvent]: ...

    def verify(
        self, name: str, step: Step, *, generation: int | None = None, share: float = 1.0
    ) -> Verification:
        """Fold users afresh from the log and compare; the live generation where none is named.

        Raises UnknownGeneration.
        """

    def compare(self, name: str, generation: int, other: int) -> Verification:
        """Compare two generations with one another. Raises UnknownGeneration."""

    def retry(self, name: str, user_id: UUID | None) -> Sequence[Repaired]:
        """Try a parked stream again, or all of them, where they are parked. Raises NothingParked."""

    def discard(self, name: str, user_id: UUID, reason: str, by: str) -> Sequence[Repaired]:
        """Go on without the event that a user's stream is parked at. Raises NothingParked."""

    def undo_discard(self, name: str, position: int) -> Sequence[Repaired]:
        """Take such a decision back. Raises NothingParked."""

    def repair(self, name: str, user_id: UUID) -> Sequence[Repaired]:
        """Write one user's rows anew, in the live generation and those that are kept. Raises UnknownUser."""

    def pause(self, name: str, reason: str) -> Sequence[int]:
        """Have nothing written any more to the generations that are kept up to date; their numbers."""

    def resume(self, name: str) -> Sequence[int]:
        """Go on where it stopped; the generations that were paused."""
