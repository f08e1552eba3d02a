"""gRPC `Identify` against an empty call of the same server: what checking token and caller costs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop

from application.commands.issue_tokens import IssueTokens
from application.messages import Context
from bench.ground import Ground
from bench.measuring import Row, in_turns
from domain.access import ANONYMOUS
from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.bootstrap import open_service
from infrastructure.first_admin import make_first_admin
from infrastructure.logs import configure
from infrastructure.process import tune
from infrastructure.server.addresses import grpc_place
from infrastructure.server.grpc import GrpcServer
from infrastructure.settings import load
from infrastructure.standing import open_keys
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2 import IdentifyReq
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2_grpc import AuthServiceStub
from interfaces.http.access_log import AccessLog
from tests.grpc.world import shown
from tests.support.databases import standing
from tests.support.service import ADMIN

CALLERS = 32
SECONDS = 2.0
ROUNDS = 5
EMPTY = "bench.Empty/Nothing"


async def measure(ground: Ground) -> list[Row]:
    """One row."""
    with ground.databases.fresh() as conninfo, _running(conninfo) as (address, token):
        administration = PostgresClientAdministration(conninfo, lambda: datetime.now(UTC))
        metadata = shown(administration.add("bench", ["introspect"]))
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = AuthServiceStub(channel)
            plain: Any = channel
            nothing = plain.unary_unary(f"/{EMPTY}")
            request = IdentifyReq(token=token)
            sent = request.SerializeToString()

            async def ours() -> float:
                return await _per_second(lambda: stub.Identify(request, metadata=metadata))

            async def limit() -> float:
                # The same bytes and the same metadata: what is compared is the work, not the size.
                return await _per_second(lambda: nothing(sent, metadata=metadata))

            await limit()
            work = f"gRPC Identify, {CALLERS} callers"
            return [
                await in_turns(
                    work, "an empty grpc.aio call of the same server", ours, limit, aim=0.5, rounds=ROUNDS
                )
            ]


async def _per_second(call: Any) -> float:
    """Calls a second of several callers on one connection, each with one call at a time."""
    until = time.perf_counter() + SECONDS
    done = 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / (time.perf_counter() - began)


@contextmanager
def _running(conninfo: str) -> Iterator[tuple[str, str]]:
    """Address and a token of a server in a process of its own; it logs as much as it does in production."""
    program = subprocess.Popen(
        [sys.executable, "-m", "bench.identify", conninfo],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "MG_USERS_BCRYPT_COST": "4", "MG_USERS_GRPC_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    try:
        found = re.match(r"(\S+) (\S+)", program.stdout.readline())
        assert found, "the server did not start"
        yield found[1], found[2]
    finally:
        program.terminate()
        program.wait(20)


async def _nothing(sent: bytes, context: Any) -> bytes:
    return b""


async def _serve(conninfo: str, sink: Any) -> None:
    settings = load(dict(os.environ)).settings
    footing = standing(conninfo)
    keys = await asyncio.to_thread(open_keys, footing)
    log = AccessLog(sink.write)
    async with open_service(settings, footing, keys) as service:
        await make_first_admin(service.bus, settings)
        server = GrpcServer(service, settings, grpc_place(settings), _ready, log.add_call)
        empty, _, method = EMPTY.partition("/")
        handler: Any = {method: grpc.unary_unary_rpc_method_handler(_nothing)}
        server.add(grpc.method_handlers_generic_handler(empty, handler))
        address = await server.start()
        print(address, await _token(service), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        tune()
        await stop.wait()
        await server.stop(1)


async def _token(service: Any) -> str:
    context = Context(actor=ANONYMOUS, at=datetime.now(UTC), command_id=uuid4(), correlation_id=uuid4())
    command = IssueTokens(login=ADMIN["identity"], secret=ADMIN["secret"])
    return str((await service.bus.dispatch(command, context)).access_token)


async def _ready() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    # The first line of standard output is for whoever has started this.
    configure("warn")
    with open(os.devnull, "wb") as nowhere:
        uvloop.run(_serve(sys.argv[1], nowhere))
