"""PgBouncer in transaction mode before a PostgreSQL: every transaction may get another server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure.embedded.identity import choose
from tests.support.servers import throw_away_folder

PGBOUNCER = Path("/usr/sbin/pgbouncer")
PORT = 6432
PLACE = "USERSD_TESTS_POOLER"
"""The variable in which a whole run of tests is told of a pooler that services should go through."""

# The servers take turns, so that what one transaction leaves behind is met by another's client at once.
_CONFIGURATION = """
[databases]
* = host={server}
[pgbouncer]
unix_socket_dir = {folder}
listen_port = {port}
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 4
max_client_conn = 500
server_round_robin = 1
query_wait_timeout = 20
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(server: str, mode: str = "transaction") -> Iterator[str]:
    """How the database of a conninfo, and any other of its server, is reached through a PgBouncer."""
    parts = conninfo_to_dict(server)
    with throw_away_folder() as outer:
        folder = outer / "bouncer"
        account = choose(outer)
        account.own(folder)
        (folder / "users").write_text('"usersd" ""\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(server=parts["host"], folder=folder, port=PORT, mode=mode)
        )
        for file in (folder / "users", configuration):
            file.chmod(0o644)
        extra = {} if account.uid is None else {"user": account.uid, "group": account.gid, "extra_groups": ()}
        process = subprocess.Popen(
            [PGBOUNCER, "-q", configuration],
            cwd="/",
            stderr=subprocess.DEVNULL,
            **extra,  # type: ignore[call-overload]
        )
        through = make_conninfo(server, host=str(folder), port=PORT)
        try:
            _wait(through, process)
            yield through
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextmanager
def whole_run(server: str) -> Iterator[None]:
    """Have every service of this process go through a PgBouncer."""
    with pgbouncer(server) as through:
        os.environ[PLACE] = through
        try:
            yield
        finally:
            del os.environ[PLACE]


def through_pooler(conninfo: str) -> str:
    """The same database through the pooler of the run, where there is one."""
    if (place := os.environ.get(PLACE)) is None:
        return conninfo
    parts = conninfo_to_dict(place)
    return make_conninfo(conninfo, host=parts["host"], port=parts["port"])


def _wait(conninfo: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        with suppress(psycopg.OperationalError):
            psycopg.connect(conninfo, connect_timeout=5).close()
            return
        assert process.poll() is None, "PgBouncer ended"
        assert time.monotonic() < deadline, "PgBouncer does not answer"
        time.sleep(0.02)
