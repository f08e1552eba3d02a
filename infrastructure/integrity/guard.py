"""Refuses to start on a log that is older than what was made from it, instead of going on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from application.integrity import Evidence, LogBehind
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.outside import adopt
from infrastructure.integrity.survey import Survey, survey
from infrastructure.nats.connection import OPEN
from infrastructure.nats.credentials import Access


def require_whole_log(
    conninfo: str, file: CheckpointFile, kid: str, nats_url: str, access: Access = OPEN
) -> None:
    """Raises LogBehind, LogTorn and CheckpointFileUnusable, with what happened and what to do.

    `kid` is the key that signs checkpoints.
    """
    found = asyncio.run(survey(conninfo, file, nats_url, access))
    if found.evidence:
        raise LogBehind(refusal(found))
    newest = found.outside.newest
    if newest and newest.kid == kid:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            adopt(connection, file)


def refusal(found: Survey) -> str:
    """What happened, what it means, what to do: for the operator."""
    agrees = max(found.outside.agrees.position, _agreed_by_the_stream(found))
    return (
        "This log is older than what was made from it, and the service does not start.\n"
        f"What happened: the log ends at position {found.head}, and\n"
        f"{lines(found.evidence)}\n"
        "What it means: the database was put back to an earlier state, most likely restored from a backup, "
        "or another one stands in its place. Events that were answered and published, behind position "
        f"{min(agrees, found.head)} at the earliest, are not in it. To go on would give their positions to "
        "other events, and lists, consumers and mails would no longer agree with the log.\n"
        "What to do: if a newer backup or archived WAL exists, restore that and start again. Otherwise "
        "`usersd restore show` tells what is lost and what would be done, and `usersd restore accept` does "
        "it. docs/INTEGRITY.md has the whole procedure."
    )


def lines(evidence: Sequence[Evidence]) -> str:
    return "\n".join(f"  - {found.says}" for found in evidence)


def _agreed_by_the_stream(found: Survey) -> int:
    return found.parting.agrees.position if found.parting and found.parting.agrees else 0
