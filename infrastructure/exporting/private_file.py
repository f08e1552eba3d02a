"""Files that hold what is personal: for their owner's eyes, and under their name only once they are whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from application.exporting import ExportBusy, ExportRefused
from infrastructure.durable import flush_folder

MODE = 0o600


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its name, in place of what has it, when the block ends well.

    Until then it is `.NAME.part` beside it, which goes if the block fails; one that a kill has left is
    taken over by the next export. Raises ExportRefused.
    """
    part = path.with_name(f".{path.name}.part")
    with _told(path), os.fdopen(_opened(part), "wb", buffering=1 << 20) as file:
        _hold(file, part, path)
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Make a private file that is not there yet. Raises FileExistsError and OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    flush_folder(path.parent)


def _opened(part: Path) -> int:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, MODE)
    # What a kill has left may have been made by somebody else for everybody to read.
    os.fchmod(descriptor, MODE)
    return descriptor


def _hold(file: BinaryIO, part: Path, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have given it its name in between, and it is no part any more.
        mine = part.exists() and os.path.samestat(part.stat(), os.fstat(file.fileno()))
    except BlockingIOError:
        mine = False
    if not mine:
        raise ExportBusy(f"Another export is writing {path}: wait for it, or name another file.")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportRefused(
            f"{path} cannot be written: {error.strerror or type(error).__name__}. Nothing stands under its "
            "name that did not before; name a place that can be written and has room."
        ) from None
