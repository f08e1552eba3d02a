"""Looks at everything that was ever made from the log, to notice a log that is older than that.

A reader that has come past the end of the log, a message that tells of an event the log has not, a checkpoint
signed over other events: each of them shows that the database was put back to an earlier state.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import nats.errors
import psycopg

from application.integrity import Evidence, LogTorn
from infrastructure.integrity.checkpointer import head_of
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.outside import Outside, compare
from infrastructure.integrity.stream import Parting, parting
from infrastructure.nats.connection import OPEN, BrokerUnreachable, close, connect
from infrastructure.nats.credentials import Access
from infrastructure.nats.stream import STREAM
from projections.catalogue import READ_MODELS

_READERS = """
SELECT 'the read model ' || name, max(position) FROM projections
WHERE (name, version) IN (SELECT * FROM unnest(%(names)s::text[], %(versions)s::int[])) GROUP BY name
UNION ALL SELECT 'the relay ' || name, position FROM relays
UNION ALL SELECT 'the reactor ' || name, position FROM reactors"""

_WRITTEN_WITH_IT = """
SELECT greatest((SELECT coalesce(max(changed), 0) FROM credentials),
                (SELECT coalesce(max(position), 0) FROM erasures),
                (SELECT coalesce(max(position), 0) FROM idempotency_keys))"""

SECONDS = 4.0

log = logging.getLogger("usersd.integrity")


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log ends and what knows of more. `parting` is None where no broker could be asked."""

    head: int
    outside: Outside
    parting: Parting | None
    evidence: list[Evidence]

    @property
    def lost_until(self) -> int:
        """The highest position that anything knows of, at least where the log ends."""
        return max((found.position for found in self.evidence), default=self.head)


async def survey(conninfo: str, file: CheckpointFile, nats_url: str, access: Access = OPEN) -> Survey:
    """Look at all of it. Raises LogTorn, CheckpointFileUnusable, psycopg.Error.

    A broker that does not answer is no reason to refuse anything: then the stream is not looked at.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        # What is made from the log is looked at before the log: a replica may be going on meanwhile.
        with_it, readers = _positions(connection)
        parted = await _parting(connection, nats_url, access)
        outside = compare(connection, file)
        head = head_of(connection)
        if with_it > head:
            raise LogTorn(_torn(with_it, head))
    evidence = [_reader(who, position) for who, position in readers if position > head]
    evidence += _of_the_file(file, outside) + (_of_the_stream(parted) if parted else [])
    return Survey(head=head, outside=outside, parting=parted, evidence=evidence)


def _positions(connection: psycopg.Connection) -> tuple[int, list[tuple[str, int]]]:
    """What the append has written beside the log, and every reader with a position of its own."""
    names = [model.name for model in READ_MODELS]
    versions = [model.version for model in READ_MODELS]
    rows: list[Any] = connection.execute(_READERS.encode(), {"names": names, "versions": versions}).fetchall()
    written = connection.execute(_WRITTEN_WITH_IT.encode()).fetchone()
    return (written[0] if written else 0), rows


async def _parting(connection: psycopg.Connection, url: str, access: Access) -> Parting | None:
    if not url:
        return None
    try:
        client = await connect(url, name="usersd integrity", within=SECONDS, access=access)
        try:
            return await parting(client.jetstream(timeout=SECONDS), connection)
        finally:
            await close(client)
    except (BrokerUnreachable, nats.errors.Error, OSError, TimeoutError) as error:
        log.warning("whether the stream %s fits the log was not looked at: %s", STREAM, type(error).__name__)
        return None


def _reader(who: str, position: int) -> Evidence:
    return Evidence(who=who, position=position, says=f"{who} has come to position {position}")


def _of_the_file(file: CheckpointFile, outside: Outside) -> list[Evidence]:
    if outside.beyond is None:
        return []
    found = outside.beyond.checkpoint
    how = "over other events than stand" if outside.other_events else "over events that are not"
    says = (
        f"checkpoint {found.number} of {file.path} was signed at position {found.position}, {how} here, on "
    )
    says += f"{found.at:%Y-%m-%d %H:%M:%S %Z}"
    return [Evidence(who="the checkpoints", position=found.position, says=says)]


def _of_the_stream(parted: Parting) -> list[Evidence]:
    if not parted.first_foreign:
        return []
    agreed = parted.agrees.position if parted.agrees else 0
    says = f"the stream {STREAM} tells of events up to position {parted.told_until}, and of those after "
    says += f"position {agreed} this log has none, or others"
    return [Evidence(who="the stream", position=parted.told_until, says=says)]


def _torn(position: int, head: int) -> str:
    return (
        f"The log ends at position {head}, and what is written in one transaction with each event has come "
        f"to position {position}. The table `events` was cut, or restored without the rest of its database: "
        "names, secrets and keys no longer fit it, and nothing can be served from it. Restore the whole "
        "database from one backup, then start again."
    )
