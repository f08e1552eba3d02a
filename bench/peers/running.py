"""Starts the service and its peers, one process each, each on a database of its own on the same server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import msgspec
from psycopg.conninfo import conninfo_to_dict

from bench.measuring import say
from bench.peers import installing
from bench.peers.dialects import BetterAuth, Dialect, FastApiUsers, Ours
from bench.whole import whole
from tests.support.databases import Databases

POOL = 10
"""Connections to PostgreSQL that each may have for its requests."""

STARTS_WITHIN = 60.0
_PG = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "password": "PGPASSWORD"}


class Contender(msgspec.Struct, frozen=True):
    """A running service, how it is spoken to, and its database."""

    dialect: Dialect
    conninfo: str


class Contenders(msgspec.Struct, frozen=True):
    """Ours, the peers that are here, and why others are not."""

    ours: Contender
    peers: list[Contender]
    missing: dict[str, str]


@contextmanager
def contenders(cost: int, *, renewing: bool = False) -> Iterator[Contenders]:
    """All of them, hashing at a cost.

    `renewing` has better-auth renew a session whenever somebody asks for it, and not once a day.
    """
    with ExitStack() as stack:
        environ = {"MG_USERS_BCRYPT_COST": str(cost), "MG_USERS_DB_POOL_SIZE": str(POOL)}
        program = stack.enter_context(whole(**environ))
        program.start()
        databases = Databases(program.postgres)
        peers, missing = [], {}
        for name, started in (("FastAPI-Users", _fastapi_users), ("better-auth", _better_auth)):
            try:
                place = stack.enter_context(databases.unmigrated())
                more = {"PEER_UPDATE_AGE": "0"} if renewing else {}
                peers.append(Contender(stack.enter_context(started(place, cost, more)), place))
            except installing.Unavailable as reason:
                say(f"  not compared: {reason}")
                missing[name] = str(reason)
        yield Contenders(Contender(Ours(program.url), program.postgres), peers, missing)


@contextmanager
def _fastapi_users(conninfo: str, cost: int, more: dict[str, str]) -> Iterator[Dialect]:
    name, python = installing.fastapi_users()
    port = _free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--workers", "1", "--log-level", "warning"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--app-dir", str(installing.HERE / "fastapi_users")]
    command = [str(python), "-m", "uvicorn", "app:app", *place, *options]
    with _running(command, _environ(conninfo, cost, port) | more, f"http://127.0.0.1:{port}/openapi.json"):
        yield FastApiUsers(f"http://127.0.0.1:{port}", name)


@contextmanager
def _better_auth(conninfo: str, cost: int, more: dict[str, str]) -> Iterator[Dialect]:
    name, server = installing.better_auth()
    port = _free_port()
    environ = {**_environ(conninfo, cost, port), "NODE_ENV": "production", **more}
    command = [str(shutil.which("node")), str(server)]
    with _running(command, environ, f"http://127.0.0.1:{port}/api/auth/ok"):
        yield BetterAuth(f"http://127.0.0.1:{port}", name)


def _environ(conninfo: str, cost: int, port: int) -> dict[str, str]:
    """Nothing of the service's own environment but where programs are."""
    parts = conninfo_to_dict(conninfo)
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ |= {_PG[name]: str(value) for name, value in parts.items() if name in _PG}
    secret = "bench-secret-that-is-long-enough-3kq9vX7mZ2"
    return environ | {
        "BCRYPT_COST": str(cost),
        "PEER_PORT": str(port),
        "PEER_POOL": str(POOL),
        "PEER_SECRET": secret,
    }


@contextmanager
def _running(command: list[str], environ: dict[str, str], address: str) -> Iterator[None]:
    # Python looks for modules where it is started: there must be none of ours.
    with tempfile.TemporaryFile() as told:
        program = subprocess.Popen(command, cwd="/", env=environ, stdout=subprocess.DEVNULL, stderr=told)
        with _ended(program):
            _until_answering(program, address, told)
            yield


@contextmanager
def _ended(program: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _until_answering(program: subprocess.Popen[bytes], address: str, told: IO[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        if program.poll() is not None:
            told.seek(0)
            last = (told.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            raise installing.Unavailable(
                f"it ended with {program.returncode} when it was started: {last[:200]}"
            )
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise installing.Unavailable("it did not answer within a minute") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
