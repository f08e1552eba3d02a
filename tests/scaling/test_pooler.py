"""Everything works through a PgBouncer in transaction mode, and without a way past it nothing starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL

from infrastructure.event_store.log import _STREAMS
from infrastructure.postgres.lasting import INDEXES_ONLY
from infrastructure.postgres.lending import Connection, lends_servers
from infrastructure.postgres.pool import SETTLED
from projections.users.reader import POINT_READ
from tests.projections.commanding import settings
from tests.scaling.walk import walk
from tests.support.databases import Databases
from tests.support.deployment import deployment
from tests.support.pooler import pgbouncer
from tests.support.program import program

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]

SUITE = (
    "tests/http/test_conditional.py", "tests/http/test_deleting.py", "tests/http/test_feed.py",
    "tests/http/test_idempotency.py", "tests/http/test_list_cursors.py", "tests/http/test_lists.py",
    "tests/http/test_patch.py", "tests/http/test_races.py", "tests/http/test_revocation.py",
    "tests/http/test_search.py", "tests/http/test_service_accounts.py", "tests/http/test_sessions.py",
    "tests/http/test_throttling.py", "tests/grpc/test_watching.py",
)  # fmt: skip


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    with databases.unmigrated() as conninfo:
        yield conninfo


def place(conninfo: str) -> tuple[str, str]:
    parts = conninfo_to_dict(conninfo)
    return str(parts["host"]), str(parts.get("port", 5432))


async def test_the_walk_goes_through_it_with_every_role(empty: str) -> None:
    with pgbouncer(empty) as through, deployment(empty) as deployed:
        (host, port), (direct, direct_port) = place(through), place(empty)
        await walk(
            deployed,
            MG_USERS_DB_HOST=host,
            MG_USERS_DB_PORT=port,
            MG_USERS_DB_DIRECT_HOST=direct,
            MG_USERS_DB_DIRECT_PORT=direct_port,
        )


def test_a_good_part_of_this_suite_holds_through_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE],
        cwd=ROOT, env=os.environ | {"USERSD_TESTS_POOLED": "1"}, check=False, capture_output=True, text=True,
        timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("command", ["api", "migrate"])
def test_without_a_way_past_it_nothing_starts_and_the_remedy_is_told(empty: str, command: str) -> None:
    with pgbouncer(empty) as through, program(**settings(through)) as made:
        refused = made.cli(command)
        assert refused.code == 1
        assert "MG_USERS_DB_DIRECT_HOST" in refused.err
        assert len(refused.err.splitlines()) == 1
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('events')").fetchone() == (None,)


@pytest.mark.parametrize(("mode", "lends"), [("transaction", True), ("session", False)])
def test_a_pooler_is_told_by_what_it_does(empty: str, mode: str, lends: bool) -> None:
    assert not lends_servers(empty)
    with pgbouncer(empty, mode) as through:
        assert lends_servers(through) is lends


async def test_each_statement_has_its_settings_and_none_is_left_to_others(empty: str) -> None:
    shown = SQL("SELECT current_setting('enable_seqscan'), current_setting('jit'), %s::int")
    with pgbouncer(empty) as through:
        connections = [await Connection.connect(through, autocommit=True) for _ in range(3)]
        try:
            for connection in connections:
                await connection.settle(SETTLED)
            for number in range(12):
                connection = connections[number % 3]
                cursor = await connection.execute(shown, (number,), prepare=True, binary=True)
                assert await cursor.fetchone() == ("off", "off", number)
                async with connection.transaction():
                    cursor = await connection.execute(shown, (number,), prepare=True)
                    assert await cursor.fetchone() == ("off", "off", number)
            with psycopg.connect(through, autocommit=True) as stranger:
                for _ in range(8):
                    assert stranger.execute("SHOW enable_seqscan", prepare=False).fetchone() == ("on",)
            with pytest.raises(psycopg.errors.UndefinedTable):
                await connections[0].execute("SELECT * FROM nowhere")
            assert await (await connections[0].execute("SELECT 1")).fetchone() == (1,)
        finally:
            for connection in connections:
                await connection.close()


@pytest.mark.parametrize("query", [POINT_READ, _STREAMS], ids=["profiles", "streams"])
async def test_point_reads_go_by_indexes_through_it_as_well(database: str, query: str) -> None:
    with pgbouncer(database) as through:
        async with await Connection.connect(through, autocommit=True) as connection:
            await connection.settle(INDEXES_ONLY)
            explained = SQL("EXPLAIN {}").format(SQL(query))
            cursor = await connection.execute(explained, ([uuid4()],), prepare=True)
            plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert "Index" in plan
    assert "Seq Scan" not in plan
