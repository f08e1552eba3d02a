"""Hosts on this machine: network namespaces on a bridge, whose cables a test may pull."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

NETWORK = f"10.213.{os.getpid() % 256}"
"""Of this run alone, so that another beside it is not in the way."""


class Host:
    """A network of its own behind one cable; the tests themselves stand on the bridge."""

    def __init__(self, number: int, name: str) -> None:
        self.name = f"u{os.getpid()}{name}"
        self.address = f"{NETWORK}.{number}"
        self.enter = ("ip", "netns", "exec", self.name)
        self._cable = f"u{os.getpid()}{name}"

    def join(self, bridge: str) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._cable, "master", bridge, "up")
        for line in (f"addr add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _ip("-n", self.name, *line.split())

    def cut_off(self) -> None:
        """Nothing comes or goes, and nobody is told."""
        _ip("link", "set", self._cable, "down")

    def reconnect(self) -> None:
        _ip("link", "set", self._cable, "up")

    def leave(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)


@contextmanager
def hosts(*names: str) -> Iterator[Sequence[Host]]:
    """So many hosts on one network; nothing is left of them afterwards. Takes root."""
    bridge = f"u{os.getpid()}"
    made = [Host(number, name) for number, name in enumerate(names, start=1)]
    _ip("link", "add", bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{NETWORK}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in made:
            host.join(bridge)
        yield made
    finally:
        for host in made:
            host.leave()
        _ip("link", "del", bridge)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
