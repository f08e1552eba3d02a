"""Walks the whole log and holds it against its own chains and against the checkpoints, in flat memory.

Nothing the database says of itself is believed but the rows: every hash is computed here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg

from application.integrity import Finding, Kind, LogVerified, Walked
from infrastructure.integrity.checkpoint import Signed
from infrastructure.integrity.checkpointer import head_of
from infrastructure.integrity.rolling import BEGINNING, roll
from infrastructure.integrity.witnesses import Witnesses

PAGE = 5_000
LISTED = 1_000
"""Findings that are kept; those beyond are counted."""

# The event before in the stream is looked up by the index, one at a time: to remember the end of every stream
# would take memory that grows with the users.
_PAGE = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, e.prev_hash, e.hash, before.hash, before.position
FROM (SELECT * FROM events WHERE position > %s ORDER BY position LIMIT %s) AS e
LEFT JOIN LATERAL (SELECT p.hash, p.position FROM events p
                   WHERE p.stream_id = e.stream_id AND p.version = e.version - 1 LIMIT 1) AS before ON true
ORDER BY e.position"""

# Whoever reads the log in order never sees them; whoever folds a stream does.
_BEFORE = "SELECT position, stream_id FROM events WHERE position < 1 ORDER BY position"

Row = tuple[int, UUID, int, str, bytes, bytes | None, bytes, bytes | None, int | None]


class Findings:
    """Keeps the first ones and counts the rest."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.more = 0

    def add(self, kind: Kind, meaning: str, position: int | None = None, user_id: UUID | None = None) -> None:
        if len(self.listed) == LISTED:
            self.more += 1
            return
        self.listed.append(Finding(kind=kind, position=position, user_id=user_id, meaning=meaning))


class Walk:
    """One walk over the log, from the first event to the last that is there when it begins."""

    def __init__(
        self,
        connection: psycopg.Connection,
        witnesses: Witnesses,
        *,
        rate: int | None = None,
        progress: Callable[[Walked], None] = lambda walked: None,
    ) -> None:
        self._connection = connection
        self._witnesses = witnesses
        self._rate = rate
        self._progress = progress
        self._findings = Findings()
        self._link = BEGINNING
        self._position = 0
        self._events = 0
        self._held = 0
        self._covered = 0

    def verify(self) -> LogVerified:
        """Walk. Raises psycopg.Error, CheckpointFileUnusable."""
        # Before the log's end is known, so that a service that goes on appending is no finding.
        coming = self._witnesses.read(self._findings.add)
        head = head_of(self._connection)
        following = next(coming, None)
        self._before_the_first()
        started = time.monotonic()
        while rows := self._page(head):
            for row in rows:
                while following and following.checkpoint.position < row[0]:
                    self._hold(following)
                    following = next(coming, None)
                self._missing(row[0])
                self._check(row)
                self._position, self._events = row[0], self._events + 1
                self._link = roll(self._link, row[6]) if len(row[6]) == len(BEGINNING) else BEGINNING
            self._progress(Walked(self._position, head))
            if self._rate and (early := self._events / self._rate - (time.monotonic() - started)) > 0:
                time.sleep(early)
        self._end(following, coming)
        return LogVerified(
            events=self._events,
            hash=self._link.hex(),
            checkpoints=self._held,
            void=self._witnesses.void,
            covered=self._covered,
            findings=self._findings.listed,
            more=self._findings.more,
            notes=self._witnesses.notes,
        )

    def _before_the_first(self) -> None:
        for position, user_id in self._connection.execute(_BEFORE):
            meaning = "stands before the beginning of the log, where nothing is ever appended: it was added"
            self._findings.add("order", meaning, position, user_id)

    def _page(self, head: int) -> list[Any]:
        if self._position >= head:
            return []
        cursor = self._connection.execute(_PAGE, (self._position, PAGE), binary=True)
        return [row for row in cursor.fetchall() if row[0] <= head]

    def _missing(self, position: int) -> None:
        first = self._position + 1
        if position == first:
            return
        which = (
            f"position {first} is" if position == first + 1 else f"positions {first} to {position - 1} are"
        )
        self._findings.add("missing", f"{which} missing: what stood there was removed from the log", first)

    def _check(self, row: Row) -> None:
        position, user_id, version, name, state, previous, found, before, before_at = row

        def finding(kind: Kind, meaning: str) -> None:
            self._findings.add(kind, meaning, position, user_id)

        text = (previous or b"") + user_id.bytes + version.to_bytes(8, signed=True) + name.encode()
        if hashlib.sha256(text + b"\0" + state).digest() != found:
            finding("event", f"version {version} is not what was hashed when it was written: it was changed")
        if version < 1 or (version > 1 and before is None):
            finding("chain", f"version {version - 1} of this user is missing: it was removed from the log")
        elif previous != before:
            finding("chain", f"version {version} does not follow version {version - 1} of this user: one of "
                    "both was changed, or the one before was put there later")  # fmt: skip
        elif before_at is not None and before_at > position:
            finding("chain", f"version {version} stands before version {version - 1}, which is at "
                    f"{before_at}: events were swapped")  # fmt: skip

    def _hold(self, witness: Signed) -> None:
        """Hold the log so far against a checkpoint; from there on it is gone on with what was signed."""
        checkpoint = witness.checkpoint
        self._held += 1
        if checkpoint.position != self._position or checkpoint.rolled.hash != self._link:
            self._findings.add(
                "order",
                f"checkpoint {checkpoint.number} of {checkpoint.at:%Y-%m-%d %H:%M:%S %Z} was signed over "
                f"other events: from position {self._covered + 1} to {checkpoint.position} something was "
                "changed, removed, added or swapped",
                checkpoint.position,
            )
            self._link = checkpoint.rolled.hash
        self._covered = checkpoint.position

    def _end(self, following: Signed | None, coming: Iterator[Signed]) -> None:
        while following and following.checkpoint.position <= self._position:
            self._hold(following)
            following = next(coming, None)
        if following is None:
            return
        last = following
        self._held += 1
        for beyond in coming:
            last, self._held = beyond, self._held + 1
        self._findings.add(
            "end",
            f"the log ends at {self._position}, and checkpoint {last.checkpoint.number} was signed at "
            f"{last.checkpoint.position}: the events from {self._position + 1} on were cut off, or the "
            "database was restored from a backup (`usersd restore show`)",
            self._position,
        )
