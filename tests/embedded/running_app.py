"""What a test holds of a stand-in usersd: its process, its servers, and the means to end them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Launch:
    """How a stand-in is started: by which interpreter, as whom, with which packages in reach."""

    python: str = sys.executable
    root: Path = ROOT
    uid: int | None = None
    gid: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


class App:
    """A stand-in usersd, started and not yet asked whether it is ready."""

    def __init__(self, data_dir: Path, launch: Launch | None = None, **options: Any) -> None:
        launch = launch or Launch()
        self.data_dir = data_dir
        self._answer: dict[str, Any] | None = None
        path = os.pathsep.join(filter(None, [str(launch.root), os.environ.get("PYTHONPATH")]))
        given = {"data_dir": str(data_dir), "durable": False} | launch.options | options
        self.process = subprocess.Popen(
            [launch.python, "-m", "tests.embedded.app", json.dumps(given)],
            cwd=launch.root, env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            user=launch.uid, group=launch.gid, extra_groups=None if launch.uid is None else [],
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        if self._answer is None:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            self._answer = json.loads(line)
        return self._answer

    @property
    def owns(self) -> bool:
        return "refused" not in self.answer()

    @property
    def postgres(self) -> str:
        answer = self.answer()
        assert self.owns, answer
        return str(answer["postgres"])

    @property
    def nats(self) -> str:
        return str(self.answer()["nats"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        with suppress(BrokenPipeError, ValueError):
            self.process.communicate("", timeout=30)

    def kill_nanny(self) -> None:
        os.kill(self.nanny, signal.SIGKILL)
        eventually(lambda: not alive(self.nanny))

    @property
    def nanny(self) -> int:
        return int(record(self.data_dir)["nanny"]["pid"])

    def server(self, name: str) -> int:
        return int(status(self.data_dir)[name]["pid"])

    def launches(self, name: str) -> int:
        return int(status(self.data_dir)[name]["launches"])


def record(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_dir / "lock").read_text())
    return found


def status(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_dir / "servers.json").read_text())
    return found


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return state[:1] not in ("", "Z")


def run(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def answers(dsn: str) -> bool:
    try:
        return run(dsn, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False
