"""What operators ask about the log's integrity, and have done with a log that was restored from a backup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

import msgspec

Kind = Literal["event", "chain", "missing", "checkpoint", "order", "end"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it was written: where, and what it means.

    `event`: content and hash of an event differ. `chain`: an event does not follow the one before it in its
    stream. `missing`: positions without an event. `order`: what a checkpoint signed is not what the log
    holds up to there. `end`: the log ends before what was signed. `checkpoint`: a checkpoint itself.
    """

    kind: Kind
    position: int | None = None
    user_id: UUID | None = None
    meaning: str


class LogVerified(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk over the log has found.

    `checkpoints` were compared with it and `void` were not, since a restore has been accepted after them;
    `covered` is the last position that a checkpoint covers. `more` counts findings beyond those listed.
    """

    events: int
    hash: str
    checkpoints: int
    void: int
    covered: int
    findings: list[Finding]
    more: int
    notes: list[str]

    @property
    def whole(self) -> bool:
        return not self.findings


class Walked(msgspec.Struct, frozen=True):
    """How far a walk is: events done, events in the log."""

    done: int
    total: int


class CheckpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as an operator sees it; `key` is the thumbprint of the key that signed it (RFC 7638)."""

    number: int
    position: int
    at: datetime
    hash: str
    key: str
    restored: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that knows of events which this log does not hold, and up to which position."""

    who: str
    position: int
    says: str


class LogBehind(Exception):
    """The log is older than what was made from it; the text is for the operator."""


class LogTorn(Exception):
    """The log is behind what every append writes together with it: it cannot be gone on with at all."""


class NotNow(Exception):
    """It cannot be done at the moment; the text says what to do first."""


class RestoreView(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind what, and what accepting it comes to.

    `agrees_until` is the last position of which something outside the log is known to agree with it.
    `messages` are in the stream and tell of events that no longer exist; `mails` and `sessions` would go.
    """

    head: int
    agrees_until: int
    lost_until: int
    evidence: list[Evidence]
    messages: int
    rebuilds: list[str]
    mails: int
    sessions: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What was done; `checkpoint` is the number of the one that records it."""

    head: int
    agrees_until: int
    lost_until: int
    checkpoint: int
    messages: int
    rebuilt: list[str]
    mails: int
    sessions: int


class IntegrityOperations(Protocol):
    """Operators' work on the log itself."""

    def verify(
        self, checkpoints: Path | None, rate: int | None, progress: Callable[[Walked], None]
    ) -> LogVerified:
        """Walk the log, at most `rate` events a second, and hold it against the checkpoints of the database
        and of a file, the one of the settings unless another is given."""

    def checkpoints(self) -> Sequence[CheckpointRow]:
        """The checkpoints of the database, the oldest first."""

    def restored(self) -> RestoreView:
        """What of this log is behind. Raises LogTorn, NotNow."""

    def accept(self, reason: str, progress: Callable[[str], None]) -> Accepted:
        """Bring everything into line with the log as it is. Raises LogTorn, NotNow."""
