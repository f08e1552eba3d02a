"""Processes of single roles on one database, as they run where the service is taken apart."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.program import USERSD
from tests.support.servers import throw_away_folder
from tests.support.waiting import at_last

PATIENCE = 60.0


class Process:
    """One role; `url` is where it answers, the API or who runs it."""

    def __init__(self, role: str, home: Path, settings: Mapping[str, str]) -> None:
        self.role = role
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self.instance = f"{role}-7"
        self._out = home / f"{role}.out"
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "MG_USERS_DATA_DIR": str(home / role),
            "MG_USERS_HTTP_HOST": "127.0.0.1", "MG_USERS_GRPC_PORT": "0", "MG_USERS_BCRYPT_COST": "4",
            "MG_USERS_HTTP_PORT" if role == "api" else "MG_USERS_OPERATIONS_PORT": port,
            "MG_USERS_INSTANCE_ID": self.instance,
        }  # fmt: skip
        with open(self._out, "wb") as out, open(home / f"{role}.err", "wb") as err:
            self._process = subprocess.Popen(
                [str(USERSD), role], env={**environ, **settings}, cwd=home, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log; fails if anything there is no JSON."""
        return [json.loads(line) for line in self._out.read_text().splitlines()]

    def is_ready(self) -> bool:
        assert self._process.poll() is None, f"{self.role} ended with {self._process.poll()}"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        return False

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).text

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def processes(roles: Sequence[str], settings: Mapping[str, str]) -> Iterator[dict[str, Process]]:
    """One process of each role, ready."""
    with throw_away_folder() as home, ExitStack() as stack:
        found: dict[str, Process] = {}
        for role in roles:
            found[role] = Process(role, Path(home), settings)
            stack.callback(found[role].close)
        for process in found.values():
            at_last(process.is_ready, PATIENCE)
        yield found
