"""The processes of a deployment: each with a network, a clock and a folder of its own, and minded."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.ground import Ground
from tests.chaos.measures import Measures
from tests.chaos.network import Link
from tests.chaos.playing import play
from tests.chaos.shifting import Clock
from tests.soak.processes import Crew, Member
from tests.support.databases import ROOT_KEY

_EXPECTED = (75,)
"""Exit codes that say `try again later`: the database was away when the process was started."""

_ERASING = {"MG_USERS_DELETE_AFTER": "4s", "MG_USERS_DELETE_INTERVAL": "2s"}

# Below what the system lends to outgoing connections, so that the port is still free after a kill.
_PORTS = range(20_000, 32_000)


class Process:
    """One role on a machine of its own, as far as it can tell."""

    def __init__(self, role: str, number: int, ground: Ground) -> None:
        self.role = role
        self.name = f"{role} {number}"
        self.home = ground.folder / f"{role}{number}"
        self.home.mkdir()
        self.clock = Clock(ground.folder / f"{role}{number}.clock")
        self.postgres = Link(ground.open_postgres)
        self.nats = Link(ground.open_nats)
        self.port = _free_port() if role == "api" else 0
        self.down_until = 0.0
        self.noted = False
        self.member: Member | None = None

    @property
    def is_up(self) -> bool:
        return self.member is not None and self.member.code is None and not self.member.stopped

    def environ(self, ground: Ground) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "MG_USERS_DATA_DIR": str(self.home),
            "MG_USERS_DB_HOST": "127.0.0.1",
            "MG_USERS_DB_PORT": str(self.postgres.port),
            "MG_USERS_DB_USER": "usersd",
            "MG_USERS_DB_NAME": "users",
            "MG_USERS_ES_URL": ground.nats_by(self.nats.port),
            "MG_USERS_ROOT_KEY": ROOT_KEY.hex(),
            "MG_USERS_HTTP_HOST": "127.0.0.1",
            "MG_USERS_HTTP_PORT": str(self.port or 9002),
            "MG_USERS_OPERATIONS_PORT": "0",
            "MG_USERS_GRPC_ENABLED": "false",
            "MG_USERS_BCRYPT_COST": "4",
            "MG_USERS_THROTTLE": "false",
            "MG_USERS_ACCESS_TOKEN_DURATION": "24h",
            "MG_USERS_REFRESH_TOKEN_DURATION": "48h",
            "MG_USERS_CHECKPOINT_EVENTS": "300",
            "MG_USERS_CHECKPOINT_INTERVAL": "5s",
        }


class Deployment:
    """Every process of every role."""

    def __init__(self, ground: Ground, crew: Crew, measures: Measures) -> None:
        self.ground = ground
        self.processes = [
            Process(role, number, ground)
            for role, count in measures.roles.items()
            for number in range(1, count + 1)
        ]
        self.starts: Counter[str] = Counter()
        self._more = _ERASING if measures.erases else {}
        self.complaints: list[str] = []
        self.faults: list[str] = []
        self._crew = crew
        self._broken = measures.broken
        self._ending = False

    @property
    def apis(self) -> list[Process]:
        return self.of("api")

    def of(self, role: str) -> list[Process]:
        return [process for process in self.processes if process.role == role]

    async def start(self) -> None:
        for process in self.processes:
            await process.postgres.start()
            await process.nats.start()
            process.member = self._crew.join_anew(process.name, self._begin(process))
            self.starts[process.role] += 1

    def _begin(self, process: Process) -> Callable[[], tuple[Callable[..., None], tuple[Any, ...]]]:
        return lambda: (
            play,
            (process.environ(self.ground) | self._more, process.clock.file, self._broken, [process.role]),
        )

    async def mind(self) -> None:
        """Start again whoever has ended, as a service manager would; until cancelled."""
        while True:
            for process in self.processes:
                assert process.member is not None
                code = process.member.code
                if code is None or self._ending or process.down_until > time.monotonic():
                    continue
                if code >= 0 and not process.noted:
                    self._note(process, code)
                    process.noted, process.down_until = True, time.monotonic() + 0.5
                else:
                    self.bring_up(process)
            await asyncio.sleep(0.05)

    def bring_up(self, process: Process) -> None:
        assert process.member is not None
        process.down_until, process.noted = 0.0, False
        process.member.start()
        self.starts[process.role] += 1

    def _note(self, process: Process, code: int) -> None:
        assert process.member is not None
        words = f"{process.role} ended by itself with {code}: {process.member.said()[-300:]}"
        self.complaints.append(words)
        if code not in _EXPECTED:
            self.faults.append(words)

    def kill(self, process: Process, seconds: float) -> None:
        """Kill it; it is started again after so many seconds."""
        assert process.member is not None
        process.down_until = time.monotonic() + seconds
        process.member.end()

    def end(self) -> None:
        """Kill every process, for good."""
        self._ending = True
        for process in self.processes:
            if process.member is not None:
                process.member.end()

    async def close(self) -> None:
        for process in self.processes:
            await process.postgres.close()
            await process.nats.close()

    def logs(self) -> list[Path]:
        return [process.member.log for process in self.processes if process.member is not None]


def _free_port() -> int:
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
