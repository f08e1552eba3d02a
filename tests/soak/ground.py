"""A PostgreSQL of the soak's own, which may be killed as often as it likes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

from infrastructure import embedded
from infrastructure.standing import prepare
from projections import tables
from tests.projections.commanding import settings
from tests.soak.audit import Audit
from tests.support.databases import standing
from tests.support.program import Program
from tests.support.servers import throw_away_folder
from tests.support.waiting import at_last


class Ground:
    """The database, and the folder for whatever is written down."""

    def __init__(self, folder: Path, conninfo: str) -> None:
        self.folder = folder
        self.conninfo = conninfo

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that waits for no lock for long: who was stopped in a transaction may hold it."""
        return psycopg.connect(self.conninfo, autocommit=True, options="-c lock_timeout=1s")

    def ask(self, query: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """The rows of a query on a connection of its own; raises psycopg.OperationalError while away."""
        with self.connect() as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def at_last(self, query: str, *parameters: object, within: float = 60.0) -> Sequence[tuple[Any, ...]]:
        """As `ask`, through an outage."""
        found: list[Sequence[tuple[Any, ...]]] = []

        def answered() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                found.append(self.ask(query, *parameters))
            return bool(found)

        at_last(answered, within)
        return found[0]

    def kill_the_server(self) -> None:
        """Kill the postmaster; it is launched again, and recovers."""
        status = json.loads((self.folder / "data" / "servers.json").read_text())
        if (pid := status["postgres"]["pid"]) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def environ(self) -> dict[str, str]:
        """The settings that lead a command of the command line here."""
        return Program(self.folder / "command").environ | settings(self.conninfo)


@contextmanager
def ground() -> Iterator[Ground]:
    """A database with an empty log, where the weather is bad from the start."""
    with throw_away_folder() as folder, embedded.start(folder / "data", nats=False, durable=False) as servers:
        assert servers.postgres is not None
        prepare(standing(servers.postgres))
        with psycopg.connect(servers.postgres, autocommit=True) as connection:
            tables.ensure(connection, Audit())
            connection.execute(files("tests.soak").joinpath("ground.sql").read_bytes())
        (folder / "command").mkdir()
        yield Ground(folder, servers.postgres)
