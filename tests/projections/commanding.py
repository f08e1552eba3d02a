"""The real command line on a test's own database."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.support.databases import ROOT_KEY
from tests.support.program import Ended, program

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


def rebuild_and_die(conninfo: str, name: str, point: str) -> None:
    """Rebuild a read model in a process that is killed when it reaches a point."""
    with program(**settings(conninfo)) as made:
        done = subprocess.run(
            [sys.executable, "-m", "tests.projections.dying_rebuild", name],
            env=made.environ | {"USERSD_DIE_AT": point}, cwd=ROOT, check=False, timeout=60,
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
