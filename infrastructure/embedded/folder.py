"""A data folder has one owner at a time, and everybody else can read where the owner listens."""

import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from infrastructure.embedded import process
from infrastructure.embedded.errors import EmbeddedError, FolderInUse
from infrastructure.embedded.process import Process

_LOCK = "lock"
_ENDPOINTS = "endpoints.json"


@dataclass(frozen=True)
class Endpoints:
    """Where a live usersd listens."""

    http: str | None = None
    grpc: str | None = None
    nats: str | None = None
    postgres: str | None = None
    pid: int | None = None


@dataclass(frozen=True)
class _Record:
    """What the owner writes into the lock file: who it is, who minds its servers, and how to know them."""

    owner: Process
    mark: str
    place: str
    nanny: Process | None = None

    @property
    def owner_lives(self) -> bool:
        return self.here and self.owner.alive()

    @property
    def minded(self) -> bool:
        return self.here and self.nanny is not None and self.nanny.alive()

    @property
    def here(self) -> bool:
        """Whether its process numbers mean anything to us: another container's are other processes."""
        return self.place == process.place()


class Folder:
    """A data folder whose lock is held by this process and by every server it hands the descriptor to."""

    def __init__(self, path: Path, descriptor: int, record: _Record) -> None:
        self.path = path
        self.descriptor = descriptor
        self._record = record
        self._write_record()

    @property
    def mark(self) -> str:
        return self._record.mark

    def minded_by(self, pid: int) -> None:
        self._record = replace(self._record, nanny=process.identify(pid))
        self._write_record()

    def publish(self, endpoints: Endpoints) -> None:
        write_private(self.path / _ENDPOINTS, json.dumps(asdict(endpoints), indent=2) + "\n")

    def withdraw(self) -> None:
        (self.path / _ENDPOINTS).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Let go of the folder without a word: others may still hold it."""
        os.close(self.descriptor)

    def release(self) -> None:
        # Unlocking would also unlock for a server that is still running: the lock goes with its last holder.
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)

    def _write_record(self) -> None:
        text = json.dumps(asdict(self._record)).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text, 0)


def take(path: Path, wait: float) -> Folder:
    """Become the folder's owner, waiting only while a dead owner's servers are on their way out."""
    deadline = time.monotonic() + wait
    while True:
        descriptor = _try_lock(path)
        if descriptor is not None:
            return Folder(path, descriptor, _new_record())
        # Looked at before anything is stopped, so that what was stopped in vain is tried for once more.
        expired = time.monotonic() > deadline
        record = _read_record(path)
        if record and record.owner_lives:
            raise _in_use(path, record.owner.pid)
        if record and record.here and not record.minded:
            process.stop_marked(record.mark, max(1.0, deadline - time.monotonic()))
        if expired:
            raise _still_held(path, record)
        time.sleep(0.01)


def running(data_dir: Path) -> Endpoints | None:
    """What a live owner of the folder announced; None when there is no live owner."""
    path = data_dir.resolve()
    record = _read_record(path)
    if record is None or not record.owner_lives or not _is_locked(path):
        return None
    try:
        announced = json.loads((path / _ENDPOINTS).read_text())
        endpoints = Endpoints(**{field.name: announced[field.name] for field in fields(Endpoints)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return endpoints if endpoints.pid == record.owner.pid else None


def write_private(path: Path, text: str, *, uid: int = -1, gid: int = -1) -> None:
    """Replace a file in one step, readable by its owner only from the first byte on."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchown(file.fileno(), uid, gid)
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise EmbeddedError(
            f"The data folder {path} cannot be locked: {error.strerror}.",
            meaning="It belongs to another user, most likely because usersd first ran there as that user.",
            remedy="Run usersd as that user, or choose another data folder.",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever removed the lock file in the meantime made this lock one that nobody else can see.
        if os.fstat(descriptor).st_ino == (path / _LOCK).stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _new_record() -> _Record:
    return _Record(process.identify(os.getpid()), f"usersd-{secrets.token_hex(6)}", process.place())


def _read_record(path: Path) -> _Record | None:
    try:
        stored = json.loads((path / _LOCK).read_text())
        nanny = Process(**stored["nanny"]) if stored["nanny"] else None
        return _Record(Process(**stored["owner"]), stored["mark"], stored["place"], nanny)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _in_use(path: Path, pid: int) -> FolderInUse:
    return FolderInUse(
        f"Another usersd, process {pid}, owns the data folder {path}.",
        meaning="Two of them on one folder would destroy each other's data, so this one does not start.",
        remedy=f"Stop process {pid} first, or give this one another data folder.",
    )


def _still_held(path: Path, record: _Record | None) -> FolderInUse:
    if record and record.nanny and record.minded:
        meaning = f"Process {record.nanny.pid} is still stopping the servers of a usersd that ended."
        return FolderInUse(
            f"The data folder {path} is still in use.", meaning=meaning, remedy="Try again in a moment."
        )
    return FolderInUse(
        f"The data folder {path} is in use by a process that cannot be seen from here.",
        meaning="It may run in another container or on another machine that shares the folder.",
        remedy="Stop that process, or choose another data folder.",
    )
