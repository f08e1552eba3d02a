"""A role, or a command of the command line, in a process that is quick to start and may be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Loaded once, by whom the processes are forked from.
from infrastructure import commandline, serving  # noqa: F401
from tests.chaos.broken import BREAKAGES
from tests.chaos.shifting import shift


def play(environ: Mapping[str, str], clock: Path | None, broken: Sequence[str], words: Sequence[str]) -> None:
    """Run `usersd` with these words, by a clock that may go wrong, with whatever is broken on purpose."""
    os.environ.clear()
    os.environ.update(environ)
    if clock is not None:
        shift(clock)
    for name in broken:
        BREAKAGES[name]()
    sys.argv = ["usersd", *words]
    commandline.main()
