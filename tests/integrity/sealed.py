"""A log under checkpoints, what is found in it, and a transaction in which a test may do as it likes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from application.integrity import LogVerified
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.checkpointer import Checkpointer
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.verification import Walk
from infrastructure.integrity.witnesses import Witnesses
from tests.integrity.tampering import Tamperer
from tests.support.writer import Writer


def checkpointer(writer: Writer, path: Path, *, events: int = 10**9) -> Checkpointer:
    """A checkpointer that acts when a test says so."""
    return Checkpointer(
        writer.conninfo, key_of(writer.keys.keyring), CheckpointFile(path), events=events,
        interval=timedelta(days=1),
    )  # fmt: skip


class SealedLog:
    def __init__(self, conninfo: str, file: CheckpointFile, kid: str) -> None:
        self.conninfo = conninfo
        self.file = file
        self.kid = kid

    @contextmanager
    def tampered(self, seed: int = 0) -> Iterator[Tamperer]:
        """The superuser at work; everything is as before afterwards."""
        with psycopg.connect(make_conninfo(self.conninfo, user="postgres")) as connection:
            yield Tamperer(connection, random.Random(seed))
            connection.rollback()

    def verify(self, connection: psycopg.Connection, *, outside: bool = True) -> LogVerified:
        witnesses = Witnesses(connection, self.file if outside else None, self.kid)
        return Walk(connection, witnesses).verify()
