"""A deployment as platforms run it: a process for each role, on a database and a broker that stand apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.nats.broker import Broker
from tests.projections.commanding import settings
from tests.support.databases import ROOT_KEY
from tests.support.program import Program
from tests.support.servers import throw_away_folder

_OWNERS = "SELECT owner FROM projections WHERE live"
_READY = re.compile(r"is ready at (\S+)")


class Part(Program):
    """A process of one role; it says where it listens and writes it nowhere."""

    def __init__(self, home: Path, role: str, conninfo: str, broker: Broker, **environ: str) -> None:
        ours = settings(conninfo) | {"MG_USERS_ES_URL": broker.url, "MG_USERS_OPERATIONS_PORT": "0"}
        super().__init__(home, **(ours | environ))
        self.role = role
        self._conninfo = conninfo
        self._broker = broker

    @property
    def url(self) -> str:
        found = _READY.search(self.output("err"))
        return found[1].replace("localhost", "127.0.0.1") if found else ""

    @property
    def postgres(self) -> str:
        return self._conninfo

    @property
    def nats(self) -> str:
        return self._broker.url

    @property
    def root_key(self) -> bytes:
        return ROOT_KEY

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def one(self, query: str) -> Any:
        ((value,),) = self.rows(query)
        return value

    def owns(self) -> int:
        """How many read models it looks after."""
        assert self.process is not None
        return sum(f"/{self.process.pid}/" in (owner or "") for (owner,) in self.rows(_OWNERS))

    def close(self) -> None:
        self.kill()


class Deployment:
    """Starts parts on one database and one broker, and ends them all."""

    def __init__(self, folder: Path, conninfo: str, broker: Broker) -> None:
        self.broker = broker
        self.parts: list[Part] = []
        self._folder = folder
        self._conninfo = conninfo

    def part(self, role: str, **environ: str) -> Part:
        """Another process of a role, not started yet."""
        home = self._folder / f"{role}{len(self.parts)}"
        home.mkdir()
        made = Part(home, role, self._conninfo, self.broker, **environ)
        self.parts.append(made)
        return made

    def first(self, role: str) -> Part:
        """The process of a role that has run for longest."""
        return next(part for part in self.parts if part.role == role and part.runs)

    def started(self, *roles: str, **environ: str) -> list[Part]:
        """A process for each of the roles, all started at once and all ready."""
        parts = [self.part(role, **environ) for role in roles]
        for part in parts:
            part.start(wait=False)
        for part in parts:
            part.wait_until_ready()
        return parts


@contextmanager
def deployment(conninfo: str) -> Iterator[Deployment]:
    with throw_away_folder() as folder:
        broker = Broker(folder)
        broker.start()
        made = Deployment(folder, conninfo, broker)
        try:
            yield made
        finally:
            for part in made.parts:
                part.close()
            broker.kill()
