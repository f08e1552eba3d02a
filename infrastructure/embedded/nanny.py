"""The child that outlives usersd by a moment, so that whatever ends usersd, and only that, ends its servers.

It runs alone, as a script without this package: it must start fast and depend on nothing that can be missing.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PATIENCE = 30.0
_STEADY = 10.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class Child:
    """One server, launched again whenever it ends by itself."""

    def __init__(self, plan: dict[str, Any], lock: int) -> None:
        self.name: str = plan["name"]
        self.launches = 0
        self.ended: str | None = None
        self.due: float | None = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self._plan = plan
        self._lock = lock
        self._since = 0.0
        self._pause = _FIRST_PAUSE

    def launch(self) -> None:
        for path in self._plan["stale"]:
            Path(path).unlink(missing_ok=True)
        self.due = None
        self.launches += 1
        self._since = time.monotonic()
        try:
            with open(self._plan["log"], "ab") as log:
                self.process = subprocess.Popen(
                    self._plan["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                    env=self._plan["environment"], pass_fds=[self._lock], start_new_session=True, umask=0o077,
                    user=self._plan["uid"], group=self._plan["gid"], extra_groups=self._plan["extra_groups"],
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            self._fail(f"could not be launched: {error}")
            self.tell(f"could not be launched: {error}")

    def look(self) -> bool:
        """Notice that the server has ended; say whether it had."""
        if self.process is None or (code := self.process.poll()) is None:
            return False
        self.process = None
        self._fail(f"ended by signal {-code}" if code < 0 else f"ended with status {code}")
        return True

    def stop(self) -> None:
        self.due = None
        if self.process:
            self.process.send_signal(self._plan["stop_signal"])

    def _fail(self, how: str) -> None:
        if time.monotonic() - self._since > _STEADY:
            self._pause = _FIRST_PAUSE
        self.ended = how
        self.due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def tell(self, text: str) -> None:
        line = f"usersd: {self.name} {text}\n"
        # Neither a full disk nor a closed terminal may keep the servers from being minded.
        with contextlib.suppress(OSError), open(self._plan["log"], "a") as log:
            log.write(line)
        with contextlib.suppress(OSError):
            os.write(2, line.encode())


class Nanny:
    """Minds the children until the pipe from usersd closes."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._children = [Child(plan, order["lock"]) for plan in order["servers"]]
        self._status = Path(order["status"])
        self._stopping = False
        self._wake, wakened = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wakened, False)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A service manager may signal the whole group; usersd still needs its servers to finish what it does.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def mind(self) -> None:
        while not self._stopping:
            self._launch_what_is_due()
            self._pause()
            for child in self._children:
                if child.look():
                    self._report()
                    if not self._stopping:
                        child.tell(f"{child.ended}; it is launched again")

    def stop(self) -> bool:
        """Stop all; say whether all went without force."""
        for child in self._children:
            child.stop()
        deadline = time.monotonic() + _PATIENCE
        while any(child.process for child in self._children) and time.monotonic() < deadline:
            select.select([self._wake], [], [], max(0.0, deadline - time.monotonic()))
            self._drain()
            for child in self._children:
                child.look()
        stubborn = [child.process for child in self._children if child.process]
        for process in stubborn:
            process.kill()
            process.wait()
        return not stubborn

    def _launch_what_is_due(self) -> None:
        launched = False
        for child in self._children:
            if child.due is not None and child.due <= time.monotonic():
                child.launch()
                launched = True
        if launched:
            self._report()

    def _pause(self) -> None:
        times = [child.due for child in self._children if child.due is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        readable, _, _ = select.select([0, self._wake], [], [], timeout)
        if self._wake in readable:
            self._drain()
        if 0 in readable and not os.read(0, 1024):
            self._stopping = True

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 1024):
                pass

    def _report(self) -> None:
        report = {
            child.name: {
                "pid": child.process.pid if child.process else None,
                "launches": child.launches,
                "ended": child.ended,
            }
            for child in self._children
        }
        fresh = self._status.with_name(f".{self._status.name}")
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps(report) + "\n")
            fresh.replace(self._status)


def _read_order() -> dict[str, Any] | None:
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return None
        text += part
    order: dict[str, Any] = json.loads(text)
    return order


def main() -> int:
    os.umask(0o077)
    order = _read_order()
    if order is None:
        return 0
    nanny = Nanny(order)
    nanny.mind()
    return 0 if nanny.stop() else 1


if __name__ == "__main__":
    sys.exit(main())
