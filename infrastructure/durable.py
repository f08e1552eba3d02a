"""What makes files outlive a crash: renames that are on disk, and lines that no torn one swallows."""

from __future__ import annotations

import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Have what was made or renamed in a folder on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def separator(descriptor: int) -> bytes:
    """What to write before a line, so that a last one which a crash has torn does not swallow it."""
    size = os.fstat(descriptor).st_size
    return b"" if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
