"""A cluster of PostgreSQL that is made once for a process of tests, for to make one computes for a second."""

from __future__ import annotations

import atexit
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from infrastructure import embedded
from tests.support.servers import throw_away_folder


def put_into(data: Path) -> None:
    """Make a data folder that holds an empty cluster and nothing else, as after a start that was cut off."""
    data.mkdir(mode=0o711)
    subprocess.run(["cp", "-a", _made_once(), data / "pg"], check=True)


@cache
def _made_once() -> Path:
    kept = ExitStack()
    atexit.register(kept.close)
    data = kept.enter_context(throw_away_folder()) / "data"
    with embedded.start(data, nats=False, durable=False):
        pass
    return data / "pg"
