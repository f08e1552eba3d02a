"""What a deployment stands on: PostgreSQL and NATS in a folder of a limited size, which can be filled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure import embedded
from infrastructure.standing import prepare
from tests.support.databases import standing
from tests.support.servers import throw_away_folder

MEBIBYTE = 2**20


class Ground:
    """The two servers, and how to hurt them; `folder` is the harness's own, which never fills up."""

    def __init__(self, folder: Path, data: Path, postgres: str, nats: str, *, limited: bool) -> None:
        self.folder = folder
        self.data = data
        self.postgres = postgres
        self.nats = nats
        self.limited = limited
        self._stopped: list[int] = []

    async def open_postgres(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        at = conninfo_to_dict(self.postgres)
        return await asyncio.open_unix_connection(f"{at['host']}/.s.PGSQL.{at['port']}")

    async def open_nats(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        at = urlsplit(self.nats)
        return await asyncio.open_connection(at.hostname, at.port)

    def nats_by(self, port: int) -> str:
        """The URL of NATS by another port."""
        at = urlsplit(self.nats)
        return f"nats://{at.username}:{at.password}@127.0.0.1:{port}"

    def pid(self, server: str) -> int | None:
        """The process of `postgres` or `nats`; None while it is down."""
        found: int | None = json.loads((self.data / "servers.json").read_text())[server]["pid"]
        return found

    def kill(self, server: str) -> bool:
        """Kill it as the kernel would; whoever minds it launches it again."""
        return (pid := self.pid(server)) is not None and _signal(pid, signal.SIGKILL)

    def kill_a_backend(self, dice: float) -> bool:
        """Kill one process of PostgreSQL, which then restarts all of them."""
        if (pid := self.pid("postgres")) is None or not (found := sorted(_children(pid))):
            return False
        return _signal(found[int(dice * len(found))], signal.SIGKILL)

    def stop(self, server: str) -> bool:
        """Stop every process of it, as a machine does that is out of breath."""
        if (pid := self.pid(server)) is None:
            return False
        # Its children are found only after it makes no new ones.
        self._stopped += [one for one in [pid] if _signal(one, signal.SIGSTOP)]
        self._stopped += [one for one in _children(pid) if _signal(one, signal.SIGSTOP)]
        return True

    def go_on(self) -> None:
        """Let whatever was stopped go on."""
        while self._stopped:
            _signal(self._stopped.pop(), signal.SIGCONT)

    def fill(self) -> bool:
        """Take every block of the data folder that is left."""
        if not self.limited:
            return False
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            piece = b"\0" * MEBIBYTE
            while piece:
                with contextlib.suppress(OSError):
                    while os.write(descriptor, piece):
                        pass
                piece = piece[: len(piece) // 2] if len(piece) > 4096 else b""
        finally:
            os.close(descriptor)
        return True

    def free(self) -> None:
        """Give it back, and do what docs/OPERATIONS.md has an operator do then."""
        if self._ballast.exists():
            self._ballast.unlink()
            # A stream of NATS 2.15 that had no room for a message takes none any more until a restart.
            self.kill("nats")

    @property
    def _ballast(self) -> Path:
        return self.data.parent / "ballast"


@contextmanager
def ground(mebibytes: int) -> Iterator[Ground]:
    """Both servers with an empty, migrated database, in so much room where the machine allows a limit."""
    with throw_away_folder() as folder, _room(folder / "disk", mebibytes) as limited:
        data = folder / "disk" / "data"
        with embedded.start(data) as servers:
            assert servers.postgres is not None
            assert servers.nats is not None
            _need_less_room(servers.postgres)
            prepare(standing(servers.postgres))
            made = Ground(folder, data, servers.postgres, servers.nats, limited=limited)
            try:
                yield made
            finally:
                # Servers that are stopped, or have no room, cannot be ended in good order.
                made.go_on()
                made.free()


@contextmanager
def _room(folder: Path, mebibytes: int) -> Iterator[bool]:
    """A folder that holds so much; whether it is limited, which only root can have."""
    folder.mkdir(mode=0o711)
    options = f"size={mebibytes}m,mode=711"
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "usersd-chaos", str(folder)],
            capture_output=True, check=False,
        ).returncode == 0
    )  # fmt: skip
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def _need_less_room(conninfo: str) -> None:
    with psycopg.connect(make_conninfo(conninfo, user="postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '96MB'")
        connection.execute("SELECT pg_reload_conf()")


def _signal(pid: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found
