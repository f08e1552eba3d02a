"""PostgreSQL on a unix socket that only the service's own user can reach, in a cluster made on first use."""

import os
import re
import shutil
import signal
import socket
import stat
import struct
import tempfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

from infrastructure.embedded import cluster
from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.folder import Folder, write_private
from infrastructure.embedded.identity import Account
from infrastructure.embedded.server import Server

_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_SOCKET_PLACE = "socket.path"
# The shortest limit among the systems we know is 104 bytes, with the closing zero byte.
_LONGEST_SOCKET_PATH = 100


def prepare(folder: Folder, programs: Path, account: Account, *, durable: bool) -> Server:
    """Everything up to the launch: the cluster exists, its socket has a place, stale files are known."""
    data_dir = folder.path
    files = cluster.ensure(folder, programs, account, durable=durable)
    sockets = _socket_folder(data_dir, account)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "cluster_name": folder.mark,
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Server(
        name="postgres",
        title="PostgreSQL",
        argv=[str(programs / "postgres"), "-D", str(files), "-p", str(_PORT), *options],
        log=data_dir / "postgres.log",
        endpoint=f"host={sockets} port={_PORT} dbname=users user=usersd",
        stop_signal=signal.SIGINT,
        ready=partial(_answers, sockets / _SOCKET),
        # Stale by construction, as whoever launches holds the folder's lock; their pids may be others' now.
        stale=[files / "postmaster.pid", sockets / _SOCKET, sockets / f"{_SOCKET}.lock"],
    )


def forget_socket_folder(data_dir: Path, endpoint: str) -> None:
    """Remove the socket's folder when it had to lie outside the data folder; its place stays remembered."""
    sockets = Path(endpoint.removeprefix("host=").split(" ", 1)[0])
    if sockets.parent != data_dir:
        shutil.rmtree(sockets, ignore_errors=True)


def _socket_folder(data_dir: Path, account: Account) -> Path:
    usual = data_dir / "socket"
    folder = usual if _fits(usual) else _short_folder(data_dir, account)
    account.own(folder)
    return folder


def _fits(folder: Path) -> bool:
    # Commas, quotes and spaces mean something to PostgreSQL's settings or to a connection string.
    plain = re.search(r"""[\s,'"\\@]""", str(folder)) is None
    return plain and len(os.fsencode(folder / _SOCKET)) <= _LONGEST_SOCKET_PATH


def _short_folder(data_dir: Path, account: Account) -> Path:
    place = data_dir / _SOCKET_PLACE
    if place.is_file() and (known := _still_ours(Path(place.read_text().strip()), account)):
        return known
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if _fits(Path(parent) / "usersd-xxxxxxxx"):
            folder = Path(tempfile.mkdtemp(prefix="usersd-", dir=parent))
            write_private(place, f"{folder}\n")
            return folder
    raise EmbeddedError(
        f"The path of {data_dir} is too long for a unix socket, and no shorter folder was found.",
        remedy="Choose a data folder with a shorter path, or set TMPDIR to a short one.",
    )


def _still_ours(folder: Path, account: Account) -> Path | None:
    """The remembered folder, made anew where it is gone; None where somebody else has taken the name."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError:
        return None
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return folder if private and found.st_uid in {os.geteuid(), account.uid} else None


def _answers(path: Path) -> bool:
    """Whether the database takes connections: the whole greeting, up to its readiness for a query."""
    parameters = b"user\0usersd\0database\0users\0\0"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(struct.pack("!ii", len(parameters) + 8, 3 << 16) + parameters)
            with connection.makefile("rb") as stream:
                return _greeted(stream)
    except (FileNotFoundError, ConnectionError, TimeoutError):
        return False


def _greeted(stream: BinaryIO) -> bool:
    while len(head := stream.read(5)) == 5:
        kind, length = struct.unpack("!ci", head)
        body = stream.read(length - 4)
        if kind == b"Z":
            return True
        if kind == b"E":
            fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
            # 57P03: still starting up, or recovering.
            if fields.get(b"C") == "57P03":
                return False
            raise EmbeddedError(
                f"PostgreSQL runs but refused the connection: {fields.get(b'M', 'no reason given')}.",
                remedy="Give the role usersd a database users that it may connect to.",
            )
    return False
