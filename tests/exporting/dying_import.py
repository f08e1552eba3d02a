"""An import in a process of its own that dies as by kill -9 when it has come to a stage.

Started by a test: the arguments are the database, the data directory, the file, its key and the stage.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from application.operations import Progress
from tests.exporting.operating import exports


def main(conninfo: str, home: str, file: str, key: str, stage: str) -> None:
    def moved(step: Progress) -> None:
        if step.stage == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    exports(conninfo, Path(home)).import_log(Path(file), Path(key), moved)


if __name__ == "__main__":
    main(*sys.argv[1:])
