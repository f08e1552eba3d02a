"""The real command line on a test's own database."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.support.databases import ROOT_KEY
from tests.support.program import USERSD, Ended, program

ROOT = Path(__file__).parents[2]


def settings(conninfo: str) -> dict[str, str]:
    """The environment variables that lead to a database."""
    parts = conninfo_to_dict(conninfo)
    return {
        "MG_USERS_DB_HOST": str(parts["host"]),
        "MG_USERS_DB_PORT": str(parts.get("port", 5432)),
        "MG_USERS_DB_USER": str(parts["user"]),
        "MG_USERS_DB_NAME": str(parts["dbname"]),
        "MG_USERS_ROOT_KEY": ROOT_KEY.hex(),
    }


def usersd(conninfo: str, *arguments: str) -> Ended:
    """Run a command to its end."""
    with program(**settings(conninfo)) as made:
        return made.cli(*arguments)


def rebuild_and_die(conninfo: str, name: str, point: str, *options: str) -> None:
    """Rebuild a read model in a process that is killed when it reaches a point."""
    done = rebuild_and_get(conninfo, signal.SIGKILL, name, point, *options)
    assert done.code == -signal.SIGKILL, done


def rebuild_and_get(conninfo: str, number: int, name: str, point: str, *options: str) -> Ended:
    """Rebuild a read model in a process that gets a signal when it reaches a point."""
    with program(**settings(conninfo)) as made:
        done = subprocess.run(
            [sys.executable, "-m", "tests.projections.dying_rebuild", name, *options],
            env=made.environ | {"USERSD_DIE_AT": point, "USERSD_DIE_OF": str(int(number))},
            cwd=ROOT, check=False, timeout=60, capture_output=True, text=True,
        )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


class Watched:
    """A command that goes on until it is interrupted."""

    code: int | None = None

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def until(self, text: str) -> None:
        """Return when a line that holds a text has come; the deadline of the test run is the limit."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.stdout is not None
        self._process.stdout.read()
        self.code = self._process.wait(30)


@contextmanager
def watching(conninfo: str, *arguments: str) -> Iterator[Watched]:
    """`usersd projections status --watch`, its output in a pipe, interrupted at the end."""
    with program(**settings(conninfo)) as made:
        process = subprocess.Popen(
            [str(USERSD), "projections", "status", "--watch", *arguments],
            env=made.environ, cwd=made.home, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        watched = Watched(process)
        try:
            yield watched
            watched.interrupt()
        finally:
            process.kill()
            process.communicate()
