"""What requests notice of a rebuild on the same machine: 200 a second, reads and writes, with and without."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import psycopg

from bench import serving
from bench.crowd_log import crowd_log
from bench.ground import Ground
from bench.load import request
from bench.measuring import Row, say
from infrastructure.operations.invented import SECRET
from tests.projections.commanding import settings

PER_SECOND = 200
IDLE_SECONDS = 20.0
LATEST = 600.0
"""Seconds after which no rebuild takes longer."""

AIM = 3.0
_USERS = "SELECT id FROM users_v1 WHERE status = 'enabled' AND role = 'user' ORDER BY id LIMIT 500"
_ADMIN = "SELECT email FROM users_v1 WHERE role = 'admin' AND status = 'enabled' ORDER BY created_at LIMIT 1"


class Noticed(msgspec.Struct):
    """What a while of requests came to: times in seconds; `stale` reads lacked what was answered before."""

    times: list[float] = []
    failed: int = 0
    stale: int = 0
    late: int = 0

    @property
    def p99(self) -> float:
        return sorted(self.times)[int(len(self.times) * 0.99)]


async def measure(ground: Ground) -> list[Row]:
    """The p99 with a rebuild against that without, and the times of a switch and of a rollback under load."""
    conninfo = await crowd_log(ground)
    with serving.running(
        conninfo, MG_USERS_BCRYPT_COST="4", MG_USERS_ACCESS_TOKEN_DURATION="2h", MG_USERS_THROTTLE="false"
    ) as address:
        client = await _Client.signed_in(address, conninfo)
        await client.load(until=asyncio.create_task(asyncio.sleep(5.0)))
        idle = await client.load(until=asyncio.create_task(asyncio.sleep(IDLE_SECONDS)))
        _tell("without a rebuild", idle)
        work = asyncio.create_task(_usersd(conninfo, "rebuild", "users"))
        began = time.perf_counter()
        during = await client.load(until=work)
        taken = time.perf_counter() - began
        rebuilt = work.result()
        _tell("during a rebuild", during)
        rate = float(rebuilt["position"]) / taken
        say(f"  the rebuild took {taken:.0f} s, {rate:,.0f} events/s")
        turns = asyncio.create_task(_turns(conninfo))
        _tell("while it is switched there and back", await client.load(until=turns))
        client.close()
    assert during.failed == 0, f"{during.failed} requests failed during the rebuild"
    assert during.stale == 0, f"{during.stale} reads were older than what had been answered"
    switches = [float(rebuilt["switched_in_milliseconds"]), *turns.result()]
    say(f"  switches under load: {', '.join(f'{taken:.1f}' for taken in switches)} ms")
    return [
        _row(f"p99 of {PER_SECOND} requests/s during a rebuild ({rate:,.0f} events/s remain)",
             "p99 without", during.p99 * 1000, idle.p99 * 1000, AIM),
        _row("the slowest switch or rollback under that load", "what is allowed", max(switches), 100.0, 1.0),
    ]  # fmt: skip


def _row(work: str, against: str, ours: float, limit: float, aim: float) -> Row:
    return Row(work=work, against=against, ours=ours, limit=limit, share=ours / limit, aim=aim, unit="ms")


def _tell(when: str, noticed: Noticed) -> None:
    say(
        f"  {when}: {len(noticed.times):,} requests, p99 {noticed.p99 * 1000:.1f} ms, "
        f"{noticed.failed} failed, {noticed.stale} stale, {noticed.late} writes answered before they showed"
    )


async def _turns(conninfo: str) -> list[float]:
    milliseconds = []
    for command in ("rollback", "switch") * 3:
        milliseconds.append(float((await _usersd(conninfo, command, "users"))["milliseconds"]))
    return milliseconds


async def _usersd(conninfo: str, *arguments: str) -> dict[str, str]:
    """The answer of `usersd projections`, as an operator would call it beside the service."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("usersd")), "projections", *arguments, "--json",
        env=os.environ | settings(conninfo), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), LATEST)
    assert process.returncode == 0, f"usersd projections {arguments} ended with {process.returncode}"
    answer: dict[str, str] = json.loads(out)
    return answer


class _Client:
    """Sends requests when they are due, answered or not, and remembers what each write was answered."""

    def __init__(self, address: str, token: str, users: list[UUID]) -> None:
        self._address = address
        self._place = urlsplit(address)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._users = users
        self._seen: dict[UUID, int] = {}
        self._writing: set[UUID] = set()
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._number = 0
        self._chance = random.Random(1)

    @classmethod
    async def signed_in(cls, address: str, conninfo: str) -> _Client:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            (email,) = connection.execute(_ADMIN).fetchone() or ("",)
            users = [user_id for (user_id,) in connection.execute(_USERS)]
        client = cls(address, "", users)
        status, _, body = await client._send(
            "POST", "/users/tokens/issue", json.dumps({"identity": email, "secret": SECRET}).encode()
        )
        assert status == 201, body
        client._headers = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}
        return client

    async def load(self, until: asyncio.Task[object]) -> Noticed:
        """Send for as long as something else goes on."""
        noticed, tasks = Noticed(), set[asyncio.Task[None]]()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not until.done():
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = asyncio.create_task(self._one(due, noticed))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        return noticed

    async def _one(self, due: float, noticed: Noticed) -> None:
        """A quarter are writes; half of the reads ask a list for what was written before."""
        self._number += 1
        user_id = self._chance.choice(self._users)
        known = self._seen.get(user_id, 0)
        number, kind = self._number, self._number % 4
        if kind == 0 and user_id in self._writing:
            # Of two writes at once to one user nobody knows which comes last.
            kind = 3
        match kind:
            case 0:
                self._writing.add(user_id)
                body = json.dumps({"last_name": f"n{number}"}).encode()
                status, head, _ = await self._send("PATCH", f"/users/{user_id}", body)
                if status == 200 and b"usersd-read-model" in head.lower():
                    noticed.late += 1
                elif status == 200:
                    self._seen[user_id] = number
                self._writing.discard(user_id)
            case 1 | 2:
                status, _, answer = await self._send("GET", f"/users?limit=5&id={user_id}")
                if status == 200:
                    last_name = json.loads(answer)["users"][0].get("last_name", "")
                    shown = int(last_name[1:]) if last_name[1:].isdigit() else 0
                    noticed.stale += shown < known
            case _:
                status, _, _ = await self._send("GET", f"/users/{user_id}")
        noticed.times.append(asyncio.get_running_loop().time() - due)
        noticed.failed += status != 200

    async def _send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes, bytes]:
        free = self._free
        while True:
            used = bool(free)
            reader, writer = (
                free.pop() if used else await asyncio.open_connection(self._place.hostname, self._place.port)
            )
            try:
                writer.write(request(self._address, method, path, self._headers, body))
                head = await reader.readuntil(b"\r\n\r\n")
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                # The server has let a connection go on which nothing came for long; another may be good.
                writer.close()
                if not used:
                    raise
        answer = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        free.append((reader, writer))
        return int(head[9:12]), head, answer

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()
