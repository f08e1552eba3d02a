"""Real servers for a test run: the embedded ones in a throw-away folder, and an installed PostgreSQL 15."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure import embedded

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
SERVERS = ["PostgreSQL 18", pytest.param("PostgreSQL 15", marks=pytest.mark.system)]
"""What a fixture of databases goes through: the embedded one, and the oldest one that is supported."""


@contextmanager
def throw_away_folder() -> Iterator[Path]:
    """A folder that the servers' own user can enter, in memory where the machine offers that."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-", dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def embedded_servers() -> Iterator[embedded.EmbeddedServers]:
    """PostgreSQL 18 and NATS, as `usersd run` starts them, but without flushes to disk."""
    with throw_away_folder() as folder, embedded.start(folder / "data", durable=False) as servers:
        yield servers


@contextmanager
def postgres_15() -> Iterator[str]:
    """The conninfo of a PostgreSQL 15 of the machine's own packages, started for this run."""
    with throw_away_folder() as folder:
        user = _unprivileged()
        data, sockets = folder / "pg15", folder / "s"
        for made in (data, sockets):
            made.mkdir(mode=0o700)
            if user is not None:
                os.chown(made, user.pw_uid, user.pw_gid)
        _as(user, [POSTGRES_15 / "initdb", "-D", data, "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust",
                   "-U", "usersd", "--no-sync"])  # fmt: skip
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={sockets} -c fsync=off -c max_connections=100"
        )
        _as(user, [POSTGRES_15 / "pg_ctl", "-D", data, "-o", options, "-l", data / "log", "-w", "start"])
        try:
            yield f"host={sockets} user=usersd dbname=postgres"
        finally:
            _as(user, [POSTGRES_15 / "pg_ctl", "-D", data, "-m", "immediate", "stop"])


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None, command: list[str | Path]) -> None:
    extra = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    subprocess.run(
        [str(part) for part in command],
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **extra,  # type: ignore[call-overload]
    )
