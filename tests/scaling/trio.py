"""A JetStream cluster of three NATS servers on this machine, any of which a test may kill."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from nats.js.errors import Error as JetStreamError

from infrastructure.nats.connection import BrokerUnreachable, close
from infrastructure.nats.stream import STREAM
from tests.nats.broker import PASSWORD, Broker

WITHIN = 60.0

_CONFIGURATION = """
server_name: {name}
listen: "{address}:{port}"
jetstream {{ store_dir: "{store}" }}
authorization {{ users: [ {{ user: relay, password: "{password}" }} ] }}
cluster {{ name: trio, listen: "{address}:{route}", routes: [ {routes} ] }}
"""


class Node:
    """One server of the three, in the network of a host where one is named."""

    def __init__(self, name: str, folder: Path, address: str, port: int, route: int, host: str = "") -> None:
        self.name = name
        self.address = address
        self.port = port
        self.route = route
        self._folder = folder
        self._place = ["ip", "netns", "exec", host] if host else []
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, others: Sequence[Node]) -> None:
        self._folder.mkdir()
        routes = ", ".join(f'"nats://{node.address}:{node.route}"' for node in others)
        (self._folder / "nats.conf").write_text(
            _CONFIGURATION.format(
                name=self.name, address=self.address, port=self.port, route=self.route,
                store=self._folder / "store", password=PASSWORD, routes=routes,
            )
        )  # fmt: skip

    def start(self) -> None:
        program = Path(sysconfig.get_path("scripts"), "nats-server")
        files = ["-c", str(self._folder / "nats.conf"), "-l", str(self._folder / "nats.log")]
        self._process = subprocess.Popen([*self._place, str(program), *files])

    @property
    def runs(self) -> bool:
        return self._process is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Trio(Broker):
    """The three of them, spoken to as one; `places` are the address and the host of each."""

    def __init__(self, folder: Path, places: Sequence[tuple[str, str]] = (("127.0.0.1", ""),) * 3) -> None:
        super().__init__(folder)
        ports = iter(_free_ports(6))
        self.nodes = [
            Node(f"n{number}", folder / f"n{number}", address, next(ports), next(ports), host)
            for number, (address, host) in enumerate(places)
        ]
        for node in self.nodes:
            node.configure([other for other in self.nodes if other is not node])
        self.url = ",".join(f"nats://relay:{PASSWORD}@{node.address}:{node.port}" for node in self.nodes)

    def start(self, configuration: str | None = None) -> None:
        assert configuration is None
        for node in self.nodes:
            node.start()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    async def leader(self) -> Node:
        """The server that leads the stream of users, once there is one with two others that keep up."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            with contextlib.suppress(BrokerUnreachable, JetStreamError, TimeoutError):
                client = await self.client()
                try:
                    cluster = (await client.jetstream().stream_info(STREAM)).cluster
                finally:
                    await close(client)
                if cluster and cluster.leader and all(peer.current for peer in cluster.replicas or ()):
                    return next(node for node in self.nodes if node.name == cluster.leader)
            await asyncio.sleep(0.1)
        raise AssertionError("the stream has no leader with two that keep up")

    async def ready(self) -> None:
        """Until JetStream answers: its servers have elected one who keeps the streams."""
        deadline = time.monotonic() + WITHIN
        while True:
            with contextlib.suppress(BrokerUnreachable, JetStreamError, TimeoutError):
                client = await self.client()
                try:
                    await client.jetstream().account_info()
                    return
                finally:
                    await close(client)
            assert time.monotonic() < deadline, "JetStream does not answer"
            await asyncio.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports
