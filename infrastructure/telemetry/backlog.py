"""What waits to be done, as the database knows it: mails, erasures, regular work, the log to be signed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

READ = """
SELECT mails.due, coalesce(extract(epoch FROM now() - mails.oldest), 0)::float8,
       erasures.open, coalesce(extract(epoch FROM now() - erasures.oldest), 0)::float8,
       (SELECT checkpoint FROM log_checkpoints ORDER BY number DESC LIMIT 1),
       (SELECT coalesce(json_object_agg(name, extract(epoch FROM done_at)), '{}')
        FROM schedule WHERE name = ANY(%(jobs)s::text[]) AND done_at IS NOT NULL)
FROM (SELECT count(*) AS due, min(created_at) AS oldest FROM (
          SELECT created_at FROM mails WHERE state = 'due' ORDER BY due_at LIMIT %(counted)s) AS m) AS mails,
     (SELECT count(*) AS open, min(requested_at) AS oldest FROM (
          SELECT requested_at FROM erasures WHERE certificate IS NULL
          ORDER BY position LIMIT %(counted)s) AS e) AS erasures"""
"""Every part reads an index, and no more than a bounded number of rows of it."""

FIRST_BEHIND = "SELECT now(), state FROM events WHERE position > %s ORDER BY position LIMIT 1"
"""The first event behind a position: that of a checkpoint stands in its signed text and nowhere else."""


class LastCheckpoint(msgspec.Struct, frozen=True):
    """Up to where the log is signed, and since when (seconds since the epoch)."""

    position: int
    at: float


class Backlog(msgspec.Struct, frozen=True):
    """Counts, ages in seconds, and for each job when it was last done (nothing: never)."""

    mails_due: int = 0
    mails_oldest: float = 0.0
    erasures_open: int = 0
    erasures_oldest: float = 0.0
    checkpoint: LastCheckpoint | None = None
    jobs: Mapping[str, float] = {}


def backlog_of(row: tuple[Any, ...]) -> Backlog:
    """What the statement's one row says."""
    due, due_for, opened, open_for, checkpoint, jobs = row
    return Backlog(due, max(due_for, 0.0), opened, max(open_for, 0.0), last_checkpoint(checkpoint), jobs)


class _Payload(msgspec.Struct):
    position: int
    at: datetime


def last_checkpoint(text: str | None) -> LastCheckpoint | None:
    """What a checkpoint says of itself. Whether its signature holds is not for a metric to ask."""
    if text is None:
        return None
    try:
        encoded = text.split(".")[1]
        payload = msgspec.json.decode(
            base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), type=_Payload
        )
        return LastCheckpoint(payload.position, payload.at.timestamp())
    except (ValueError, IndexError):
        return None
