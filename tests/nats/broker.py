"""A NATS server that a test can kill as the kernel would, and start again on the same store."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from infrastructure.nats.connection import close, connect
from infrastructure.nats.stream import STREAM

PASSWORD = "relays-password"
ODD_PASSWORD = "p@ss w%rd"


class Broker:
    """One server on a loopback port that stays the same, with a second user whose password needs encoding."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = folder / "store"
        self._program = Path(sysconfig.get_path("scripts"), "nats-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"nats://relay:{PASSWORD}@127.0.0.1:{self._port}"
        self.odd_url = f"nats://odd:{quote(ODD_PASSWORD)}@127.0.0.1:{self._port}"

    def start(self, configuration: str | None = None) -> None:
        """Start with both users, or with another configuration, which is kept for later starts."""
        file = self._folder / "nats.conf"
        if configuration is not None or not file.exists():
            users = f'{{ user: relay, password: "{PASSWORD}" }}, {{ user: odd, password: "{ODD_PASSWORD}" }}'
            file.write_text(configuration or f"authorization {{ users: [ {users} ] }}\n")
        self._process = subprocess.Popen(
            [
                str(self._program), "-c", str(file), "-a", "127.0.0.1", "-p", str(self._port),
                "-js", "-sd", str(self.store), "-l", str(self._folder / "nats.log"),
            ]
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while not self._greets():
            assert time.monotonic() < deadline, "the NATS server does not answer"
            assert self._process.poll() is None, "the NATS server ended"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it as the system does with a process; it answers nobody and keeps its connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def client(self) -> Client:
        return await connect(self.url, name="test")

    async def last_sequence(self) -> int:
        client = await self.client()
        try:
            return (await client.jetstream().stream_info(STREAM)).state.last_seq
        except NotFoundError:
            return 0
        finally:
            await close(client)

    async def messages(self) -> list[Stored]:
        """Everything in the stream, in its order."""
        client = await self.client()
        try:
            js = client.jetstream()
            try:
                last = (await js.stream_info(STREAM)).state.last_seq
            except NotFoundError:
                return []
            found: list[Stored] = []
            if last:
                subscription = await js.subscribe("users.>", stream=STREAM, ordered_consumer=True)
                while not found or found[-1].sequence < last:
                    message = await subscription.next_msg(timeout=10)
                    found.append(
                        Stored(
                            message.metadata.sequence.stream, message.subject, message.data,
                            dict(message.headers or {}),
                        )
                    )  # fmt: skip
            return found
        finally:
            await close(client)

    async def under(self, subject: str, stream: str = "events") -> list[Stored]:
        """What a stream that others write to as well holds under a subject, in its order."""
        client = await self.client()
        found: list[Stored] = []
        try:
            js, sequence = client.jetstream(), 1
            while True:
                message = await js.get_msg(stream, seq=sequence, subject=subject, next=True)
                assert message.seq is not None
                found.append(
                    Stored(message.seq, message.subject or "", message.data or b"", message.headers or {})
                )
                sequence = message.seq + 1
        except NotFoundError:
            return found
        finally:
            await close(client)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


class Stored:
    """A message of the stream."""

    def __init__(self, sequence: int, subject: str, body: bytes, headers: dict[str, str]) -> None:
        self.sequence = sequence
        self.subject = subject
        self.body = body
        self.headers = headers

    @property
    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def position(self) -> int:
        return int(self.event["position"])
