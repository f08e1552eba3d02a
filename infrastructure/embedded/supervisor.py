"""Starting the servers, waiting until they answer, and stopping them with the process that asked for them."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infrastructure.embedded import binaries, nats_server, process
from infrastructure.embedded import folder as folders
from infrastructure.embedded import postgres as pg
from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.folder import Endpoints, Folder
from infrastructure.embedded.identity import Account, choose
from infrastructure.embedded.server import ENVIRONMENT, Server

_STATUS = "servers.json"
# Recovery after a crash reads the log since the last checkpoint, which can take minutes on a slow disk.
_PATIENCE = 300.0
# Longer than the nanny's own patience with a server.
_STOP_PATIENCE = 45.0
_LARGEST_LOG = 16 * 1024 * 1024


class EmbeddedServers:
    """The data folder and the servers in it, ours until closed."""

    def __init__(self, folder: Folder) -> None:
        self.postgres: str | None = None
        self.nats: str | None = None
        self._folder = folder
        self._nanny: subprocess.Popen[bytes] | None = None
        self._endpoints = Endpoints(pid=os.getpid())
        self._closed = False
        # A forked child that kept the pipe or the lock would keep the servers alive without us.
        os.register_at_fork(after_in_child=self._abandon)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def announce(self, **endpoints: str | None) -> None:
        """Add where this usersd listens (`http`, `grpc`, …) to what others can read."""
        unknown = endpoints.keys() - {field.name for field in fields(Endpoints) if field.name != "pid"}
        if unknown:
            raise TypeError(f"unknown endpoints: {', '.join(sorted(unknown))}")
        merged: dict[str, Any] = asdict(self._endpoints) | endpoints
        self._endpoints = Endpoints(**merged)
        self._folder.publish(self._endpoints)

    def close(self) -> None:
        """Stop the servers and give the folder back; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._folder.withdraw()
            if self._nanny:
                self._stop(self._nanny)
            if self.postgres:
                pg.forget_socket_folder(self._folder.path, self.postgres)
        except BaseException:
            # What is still running keeps the lock, and the record that tells the next start how to find it.
            self._folder.abandon()
            raise
        self._folder.release()

    def launch(self, servers: list[Server], account: Account) -> None:
        """Start the servers and wait until each answers."""
        status = self._folder.path / _STATUS
        status.unlink(missing_ok=True)
        sizes = {server.name: _trim(server.log) for server in servers}
        self._nanny = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("nanny.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/", bufsize=0,
            pass_fds=[self._folder.descriptor], start_new_session=True,
        )  # fmt: skip
        self._folder.minded_by(self._nanny.pid)
        _give_order(self._nanny, self._folder, servers, account, status)
        for server in servers:
            _wait_until_ready(server, self._nanny, status, sizes[server.name])
            setattr(self, server.name, server.endpoint)

    def _stop(self, nanny: subprocess.Popen[bytes]) -> None:
        assert nanny.stdin is not None
        nanny.stdin.close()
        try:
            minded = nanny.wait(_STOP_PATIENCE) == 0
        except subprocess.TimeoutExpired:
            nanny.kill()
            nanny.wait()
            minded = False
        # Whoever ended the nanny left the servers without anybody to stop them.
        if not minded and not process.stop_marked(self._folder.mark, 30.0):
            raise EmbeddedError(
                f"Servers of the data folder {self._folder.path} are still running.",
                meaning=f"They did not stop when told to: processes {process.marked(self._folder.mark)}.",
                remedy="The next start tries again to stop them.",
            )

    def _abandon(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._folder.abandon()
        if self._nanny and self._nanny.stdin:
            self._nanny.stdin.close()


def start(
    data_dir: Path,
    *,
    postgres: bool = True,
    nats: bool = True,
    wait_for_lock: float = 10.0,
    durable: bool = True,
    postgres_programs: Path | None = None,
    nats_program: Path | None = None,
) -> EmbeddedServers:
    """Own the data folder and run the servers asked for; raises FolderInUse or EmbeddedError.

    `durable=False` is for folders that are thrown away: a crash of the machine may cost the data. The last
    two name other programs than the wheels': a folder with `postgres` and `initdb`, and a `nats-server`.
    """
    path = data_dir.resolve()
    try:
        _make(path)
        folder = folders.take(path, wait_for_lock)
    except OSError as error:
        raise _failed(path, error) from error
    servers = EmbeddedServers(folder)
    try:
        if postgres or nats:
            account = choose(path)
            plans = []
            if postgres:
                programs = postgres_programs or binaries.postgres_programs(account)
                plans.append(pg.prepare(folder, programs, account, durable=durable))
            if nats:
                program = nats_program or binaries.nats_program(account)
                plans.append(nats_server.prepare(folder, program, account))
            servers.launch(plans, account)
        servers.announce(postgres=servers.postgres, nats=servers.nats)
    except BaseException as error:
        servers.close()
        if isinstance(error, OSError):
            raise _failed(path, error) from error
        raise
    return servers


def _make(data_dir: Path) -> None:
    # Under root the servers' lesser user has to pass; what is private inside has its own permissions.
    if not data_dir.exists():
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        data_dir.mkdir(exist_ok=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _failed(data_dir: Path, error: OSError) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded servers could not be started in {data_dir}: {error.strerror or error}.",
        remedy="Check that the folder is on a local disk with room, and that this user may write to it.",
    )


def _give_order(
    nanny: subprocess.Popen[bytes], folder: Folder, servers: list[Server], account: Account, status: Path
) -> None:
    plans = [
        {
            "name": server.name,
            "argv": server.argv,
            "log": str(server.log),
            "stop_signal": server.stop_signal,
            "stale": [str(path) for path in server.stale],
            "environment": ENVIRONMENT,
            "uid": account.uid,
            "gid": account.gid,
            "extra_groups": account.extra_groups,
        }
        for server in servers
    ]
    order = {"lock": folder.descriptor, "status": str(status), "servers": plans}
    assert nanny.stdin is not None
    nanny.stdin.write(json.dumps(order).encode() + b"\n")


def _wait_until_ready(server: Server, nanny: subprocess.Popen[bytes], status: Path, log_size: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    pause = 0.005
    while not server.ready():
        ended = _ended(status, server.name)
        if nanny.poll() is not None:
            ended = "has nobody to mind it: the nanny process ended"
        if time.monotonic() > deadline:
            ended = f"did not answer within {_PATIENCE:.0f} seconds"
        if ended:
            raise EmbeddedError(
                f"{server.title} did not start: it {ended}.",
                meaning=f"The last lines of {server.log}:\n{_tail(server.log, log_size)}",
                remedy="Mend what they name, then start again.",
            )
        time.sleep(pause)
        pause = min(pause * 1.2, 0.2)


def _ended(status: Path, name: str) -> str | None:
    try:
        ended: str | None = json.loads(status.read_text())[name]["ended"]
    except (OSError, ValueError):
        return None
    return ended


def _trim(log: Path) -> int:
    """Put an overgrown log aside, and say how long the log is."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        os.replace(log, log.with_name(f"{log.name}.1"))
    return log.stat().st_size if log.exists() else 0


def _tail(log: Path, offset: int, lines: int = 15) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(offset)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"({error})"
