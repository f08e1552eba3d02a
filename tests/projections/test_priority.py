"""What nobody waits for is done behind others on this machine, by our processes and by the database's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from application.operations import Progress
from projections.priority import IN_THE_DATABASE, NICENESS, serve_behind, working
from projections.rebuild import rebuild
from projections.users.projector import Users
from tests.event_store.proxy import Proxy
from tests.projections.projecting import rows
from tests.support.writer import Writer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who listens on a socket")

_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def backend_of(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])


def group_of(pid: int | str) -> str:
    """The niceness of the scheduling group; '' where this kernel has none."""
    file = Path(f"/proc/{pid}/autogroup")
    return file.read_text().rpartition("nice ")[2].strip() if file.exists() else ""


async def test_the_database_works_behind_others_for_a_gentle_connection_alone(
    database: str,
) -> None:
    async with working(database) as gentle, working(database, gentle=False) as other:
        one, another = await backend_of(gentle), await backend_of(other)
        assert os.getpriority(os.PRIO_PROCESS, one) == IN_THE_DATABASE
        assert os.getpriority(os.PRIO_PROCESS, another) == 0
        assert group_of(one) in ("", str(IN_THE_DATABASE))
        assert group_of(another) in ("", "0")


async def test_a_database_that_is_reached_over_tcp_is_nobody_of_this_machine(database: str) -> None:
    async with (
        Proxy(database) as proxy,
        await psycopg.AsyncConnection.connect(proxy.conninfo, autocommit=True) as connection,
    ):
        assert not await serve_behind(connection)
        assert os.getpriority(os.PRIO_PROCESS, await backend_of(connection)) == 0


async def test_no_process_is_touched_that_is_no_child_of_whoever_listens(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.priority._parent", lambda pid: os.getpid())
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        assert not await serve_behind(connection)
        assert os.getpriority(os.PRIO_PROCESS, await backend_of(connection)) == 0


async def test_no_process_is_touched_that_runs_another_program_than_whoever_listens(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who listened may be who started everything on the machine, and the number one of another machine."""
    monkeypatch.setattr("projections.priority._listening", lambda descriptor: os.getpid())
    monkeypatch.setattr("projections.priority._parent", lambda pid: os.getpid())
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        assert not await serve_behind(connection)
        assert os.getpriority(os.PRIO_PROCESS, await backend_of(connection)) == 0


@pytest.mark.parametrize("gentle", [True, False], ids=["by itself", "at full speed"])
async def test_a_rebuild_works_behind_others_unless_it_is_told_to_hurry(writer: Writer, gentle: bool) -> None:
    await writer.register(10)
    seen: set[int] = set()

    def look(step: Progress) -> None:
        if step.stage in ("reading the log", "building indexes"):
            for (pid,) in rows(writer.conninfo, _BACKENDS):
                with contextlib.suppress(ProcessLookupError):
                    seen.add(os.getpriority(os.PRIO_PROCESS, pid))

    await rebuild(Users(), writer.reader, writer.conninfo, look, gentle=gentle)
    assert (IN_THE_DATABASE in seen) is gentle


@pytest.mark.parametrize("own_session", [True, False], ids=["in a session of its own", "in that of others"])
def test_a_process_steps_back_behind_other_sessions_where_it_has_one_alone(own_session: bool) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; from projections.priority import step_back; step_back();"
            "from tests.projections.test_priority import group_of;"
            "print(os.getpriority(os.PRIO_PROCESS, 0), group_of('self'))",
        ],
        check=True, capture_output=True, text=True, start_new_session=own_session,
    ).stdout.split()  # fmt: skip
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert told[0] == str(min(before + NICENESS, 19))
    assert told[1:] in ([], [str(NICENESS)] if own_session else [group_of("self")])
