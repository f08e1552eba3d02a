"""The checkpoints outside the database: a file of one JWS a line that is only ever appended to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infrastructure.durable import flush_folder, separator
from infrastructure.integrity.checkpoint import CheckpointInvalid, Signed, verified
from infrastructure.settings import Settings

FILE = "log-checkpoints.jws"
BLOCK = 65_536


class CheckpointFileUnusable(Exception):
    """The file cannot be read or written; the text says which and why."""


class CheckpointFile:
    """The file at a path; several processes of one machine may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes of this machine from appending meanwhile. Raises CheckpointFileUnusable."""
        with self._told("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if new:
                flush_folder(self.path.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def append(self, texts: Sequence[str]) -> None:
        """Append checkpoints and return once they are on disk; within `held`.

        Raises CheckpointFileUnusable.
        """
        with self._told("written"):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
            try:
                lines = "".join(f"{text}\n" for text in texts).encode()
                rest = separator(descriptor) + lines
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def newest_first(self) -> Iterator[Signed]:
        """Its checkpoints, the newest first, read from the end; what cannot be read is passed over.

        Raises CheckpointFileUnusable.
        """
        for line in self._lines_backwards():
            if checkpoint := _read(line):
                yield checkpoint

    def oldest_first(self) -> Iterator[Signed | str]:
        """Its checkpoints in the order of the file; a line that is none comes as its reason."""
        with self._told("read"), self.path.open("rb") as lines:
            for line in lines:
                if stripped := line.strip():
                    yield _read(stripped) or "the line is no checkpoint whose signature holds"

    def _lines_backwards(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        with self._told("read"), self.path.open("rb") as file:
            end, tail = file.seek(0, os.SEEK_END), b""
            while end:
                start = max(0, end - BLOCK)
                file.seek(start)
                lines = (file.read(end - start) + tail).split(b"\n")
                # The first may have begun in the block before.
                tail, end = (lines.pop(0) if start else b""), start
                yield from (line.strip() for line in reversed(lines) if line.strip())

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointFileUnusable(
                f"{self.path} cannot be {doing}: {error.strerror}. It holds the checkpoints of the log "
                "outside of the database; MG_USERS_CHECKPOINT_FILE names another path."
            ) from None


def file_of(settings: Settings) -> CheckpointFile:
    return CheckpointFile(settings.checkpoint_file or settings.data_dir / FILE)


def _read(line: bytes) -> Signed | None:
    try:
        return verified(line.decode("ascii"))
    except (CheckpointInvalid, UnicodeDecodeError):
        return None
