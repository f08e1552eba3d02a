"""The whole of `usersd run`, with its own servers on a disk, as an operator would start it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.program import Program

PLENTY = {"MG_USERS_ACCESS_TOKEN_DURATION": "2h", "MG_USERS_PROJECTION_CHECK": "0"}
"""Tokens outlast the measuring; nobody looks for differences between log and read models meanwhile."""


@contextmanager
def whole(**environ: str) -> Iterator[Program]:
    """A program on an empty data folder, not started yet; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="usersd-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        # Its servers run as another user where the program runs as root.
        home.chmod(0o711)
        program = Program(home, **PLENTY, **environ)
        try:
            yield program
        finally:
            stop(program)
            program.close()


def stop(program: Program) -> None:
    """End it as an operator does."""
    if program.process is not None and program.process.poll() is None:
        program.terminate()
        program.wait()
