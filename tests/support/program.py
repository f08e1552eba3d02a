"""The program `usersd`, in the role `run` or another, started, killed and questioned from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infrastructure import embedded
from tests.support.clusters import put_into
from tests.support.servers import throw_away_folder

USERSD = Path(sys.executable).with_name("usersd")
PATIENCE = 60.0


class Program:
    """One `usersd run` on one data folder; started again after its end it goes on with the same data."""

    role = "run"
    place: Sequence[str] = ()
    """What runs it elsewhere than the tests: in the network of another host."""
    in_a_hurry = False
    """Its first start finds a cluster ready made; one that is measured makes its own."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.data = home / "data"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "MG_USERS_DATA_DIR": str(self.data),
            "MG_USERS_HTTP_PORT": "0",
            "MG_USERS_GRPC_PORT": "0",
            "MG_USERS_BCRYPT_COST": "4",
            "MG_USERS_THROTTLE": "false",
        } | environ
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers that it is ready."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        if self.in_a_hurry and not self.data.exists():
            put_into(self.data)
        # What a killed one announced must not be taken for the new one's address.
        (self.data / "endpoints.json").unlink(missing_ok=True)
        self.starts += 1
        with open(self._file("out"), "wb") as out, open(self._file("err"), "wb") as err:
            self.process = subprocess.Popen(
                [*self.place, str(USERSD), self.role], env=self.environ, cwd=self.home,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, within: float = PATIENCE, verify: ssl.SSLContext | bool = True) -> None:
        deadline = time.monotonic() + within
        while not self.is_ready(verify):
            assert self.process is not None
            assert self.process.poll() is None, f"usersd ended with {self.process.poll()}:\n{self.output()}"
            assert time.monotonic() < deadline, f"not ready within {within:.0f} s:\n{self.output()}"
            time.sleep(0.02)

    def is_ready(self, verify: ssl.SSLContext | bool = True) -> bool:
        with contextlib.suppress(OSError, ValueError, httpx.TransportError):
            answer = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False, verify=verify)
            return answer.status_code == 200
        return False

    @property
    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "endpoints.json").read_text())
        return found

    @property
    def url(self) -> str:
        # By number, because a name may lead to an address family that nobody listens on.
        return str(self.endpoints["http"] or "").replace("localhost", "127.0.0.1")

    @property
    def postgres(self) -> str:
        return str(self.endpoints["postgres"])

    @property
    def nats(self) -> str:
        return str(self.endpoints["nats"])

    @property
    def root_key(self) -> bytes:
        return bytes.fromhex((self.data / "root.key").read_text().strip())

    def server(self, name: str) -> dict[str, Any]:
        """What the nanny reports of `postgres` or `nats`: its pid, its launches, how it ended last."""
        found: dict[str, Any] = json.loads((self.data / "servers.json").read_text())[name]
        return found

    def kill(self) -> None:
        """Kill the program alone: its nanny stops the servers."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill_everything(self) -> None:
        """Kill the program, its nanny and both servers, as when the machine loses its power."""
        assert self.process is not None
        nanny = json.loads((self.data / "lock").read_text())["nanny"]["pid"]
        for pid in (nanny, self.process.pid, self.server("postgres")["pid"], self.server("nats")["pid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.terminate()

    def wait(self, within: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(within)

    def cli(self, *arguments: str, **environ: str) -> Ended:
        """Run a command of the real command line on the same data folder."""
        done = subprocess.run(
            [str(USERSD), *arguments], env=self.environ | environ, cwd=self.home, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def output(self, which: str = "") -> str:
        """What the latest start has written, for error messages."""
        kinds = [which] if which else ["out", "err"]
        return "\n".join(self._file(kind).read_text(errors="replace")[-8000:] for kind in kinds)

    def close(self) -> None:
        """End it and whatever of its servers is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.data.is_dir():
            # Owning the folder means that whatever ran in it has gone.
            embedded.start(self.data, postgres=False, nats=False, wait_for_lock=PATIENCE).close()

    def _file(self, kind: str) -> Path:
        return self.home / f"{kind}.{self.starts}"


class Ended:
    """What a command of the command line left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines: fails if anything but data was written there."""
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self) -> str:
        return f"exit code {self.code}\nstdout: {self.out}\nstderr: {self.err}"


@contextmanager
def program(**environ: str) -> Iterator[Program]:
    """A program on an empty data folder, not started yet; nothing of it is left afterwards."""
    with throw_away_folder() as home:
        made = Program(home, **environ)
        made.in_a_hurry = "MG_USERS_DB_HOST" not in environ
        try:
            yield made
        finally:
            made.close()
