"""NATS with JetStream on a loopback port that stays the same, behind a password that only we know."""

import json
import secrets
import signal
import socket
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.folder import Folder, write_private
from infrastructure.embedded.identity import Account
from infrastructure.embedded.server import Server

HOST = "127.0.0.1"
_USER = "usersd"
_REMEMBERED = "nats.json"
# Below the ports that systems lend to outgoing connections: none can sit on ours while NATS restarts.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class _Door:
    port: int
    password: str


def prepare(folder: Folder, program: Path, account: Account) -> Server:
    """Everything up to the launch: the store's folder, a free port, the password."""
    data_dir = folder.path
    store = data_dir / "nats"
    account.own(store)
    door = _door(data_dir)
    configuration = data_dir / "nats.conf"
    # In a file, since everybody can read a command line.
    write_private(
        configuration,
        f'authorization {{ user: "{_USER}", password: "{door.password}" }}\n',
        uid=-1 if account.uid is None else account.uid,
        gid=-1 if account.gid is None else account.gid,
    )
    address = ["-a", HOST, "-p", str(door.port)]
    return Server(
        name="nats",
        title="NATS",
        argv=[str(program), "-n", folder.mark, "-c", str(configuration), *address, "-js", "-sd", str(store)],
        log=data_dir / "nats.log",
        endpoint=f"nats://{_USER}:{door.password}@{HOST}:{door.port}",
        stop_signal=signal.SIGTERM,
        ready=partial(_answers, door),
    )


def _door(data_dir: Path) -> _Door:
    path = data_dir / _REMEMBERED
    known = _remembered(path)
    if known and _free(known.port):
        return known
    door = _Door(_free_port(), known.password if known else secrets.token_hex(24))
    write_private(path, json.dumps(asdict(door)) + "\n")
    return door


def _remembered(path: Path) -> _Door | None:
    try:
        return _Door(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _free_port() -> int:
    for _ in range(200):
        port = secrets.choice(_PORTS)
        if _free(port):
            return port
    raise EmbeddedError(
        f"No free port was found for NATS between {_PORTS.start} and {_PORTS.stop}.",
        remedy="Set MG_USERS_ES_URL to an external NATS.",
    )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As NATS itself does: a connection that has just closed does not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(door: _Door) -> bool:
    """Whether NATS lets us in: a greeting alone could come from another server on the port."""
    greeting = {"user": _USER, "pass": door.password, "verbose": False}
    try:
        with socket.create_connection((HOST, door.port), timeout=5) as connection:
            connection.sendall(f"CONNECT {json.dumps(greeting)}\r\nPING\r\n".encode())
            with connection.makefile("rb") as stream:
                return _let_in(stream)
    except (ConnectionError, TimeoutError):
        return False


def _let_in(stream: BinaryIO) -> bool:
    for line in stream:
        if line.startswith((b"PONG", b"-ERR")):
            return line.startswith(b"PONG")
    return False
