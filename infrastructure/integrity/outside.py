"""Holds a log against the file of its checkpoints, without a walk over the whole of it.

The newest checkpoint that stands in both is where both are believed to be one; only what comes behind it is
hashed. To look further is `usersd events verify`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec
import psycopg

from infrastructure.integrity.checkpoint import NOTHING, Signed, Voids
from infrastructure.integrity.checkpointer import head_of
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.rolling import PositionsMissing, Rolled, rolled_on

_SAME = "SELECT EXISTS (SELECT 1 FROM log_checkpoints WHERE number = %s AND checkpoint = %s)"


_PUT = """
INSERT INTO log_checkpoints (number, checkpoint) VALUES (%s, %s)
ON CONFLICT (number) DO UPDATE SET checkpoint = excluded.checkpoint"""


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of a log.

    `agrees` is the rolling hash at the last position where both agree. `beyond` is the newest checkpoint
    that is not of this log, if there is one: the log ends before it, or has other events there.
    """

    newest: Signed | None
    agrees: Rolled
    beyond: Signed | None
    other_events: bool


def compare(connection: psycopg.Connection, file: CheckpointFile) -> Outside:
    """Raises CheckpointFileUnusable, psycopg.Error."""
    unknown: list[Signed] = []
    base = NOTHING
    entries = _holding(file)
    newest = next(entries, None)
    # The file before the log: a replica that goes on meanwhile is no disagreement.
    head = head_of(connection)
    for found in chain([newest] if newest else [], entries):
        row = connection.execute(_SAME, (found.checkpoint.number, found.text)).fetchone()
        if row and row[0] and found.checkpoint.position <= head:
            base = found.checkpoint.rolled
            break
        unknown.append(found)
    agrees = base
    other = False
    # Those the database does not have, the oldest first, for as long as the log agrees with them.
    while unknown and unknown[-1].checkpoint.position <= head:
        at = unknown[-1].checkpoint.rolled
        try:
            other = rolled_on(connection, agrees, at.position) != at
        except PositionsMissing:
            other = True
        if other:
            break
        agrees = at
        unknown.pop()
    return Outside(newest=newest, agrees=agrees, beyond=unknown[0] if unknown else None, other_events=other)


def _holding(file: CheckpointFile) -> Iterator[Signed]:
    """The file's checkpoints that no accepted restore has voided, the newest first."""
    voids = Voids()
    for found in file.newest_first():
        if not voids.covers(found.checkpoint.number, found.checkpoint.position):
            yield found
        voids.note(found.checkpoint)


def adopt(connection: psycopg.Connection, file: CheckpointFile) -> None:
    """Give the database the checkpoints of the file, where it lacks them or has others.

    That is for a log that agrees with the file: after a restore that was accepted, or a crash within that.
    """
    with connection.transaction():
        for place, found in enumerate(file.newest_first()):
            number = found.checkpoint.number
            row = connection.execute(_SAME, (number, found.text)).fetchone()
            if row and row[0]:
                return
            if place == 0:
                connection.execute("DELETE FROM log_checkpoints WHERE number > %s", (number,))
            connection.execute(_PUT, (number, found.text))
