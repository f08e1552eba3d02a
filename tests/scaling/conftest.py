"""A primary with a standby that follows it, for one file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from infrastructure.standing import prepare
from tests.scaling.clusters import Cluster, embedded_programs
from tests.support.databases import standing
from tests.support.servers import throw_away_folder


class Pair:
    """A primary and its standby, which streams from it."""

    def __init__(self, primary: Cluster, standby: Cluster) -> None:
        self.primary = primary
        self.standby = standby

    def pause(self) -> None:
        """The standby receives, and shows nothing of it, until it is told to go on."""
        self.standby.ask("SELECT pg_wal_replay_pause()")

    def go_on(self) -> None:
        self.standby.ask("SELECT pg_wal_replay_resume()")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """PostgreSQL 18 twice; one service may use them in each test, and finds what earlier ones left."""
    with throw_away_folder() as folder, ExitStack() as stack:
        programs = embedded_programs(folder)
        primary, standby = Cluster(folder / "a", programs), Cluster(folder / "b", programs)
        stack.callback(primary.stop)
        stack.callback(standby.stop)
        primary.make()
        prepare(standing(primary.conninfo))
        standby.copy(primary.conninfo.replace("dbname=users", "dbname=postgres"))
        with psycopg.connect(standby.conninfo) as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        yield Pair(primary, standby)
