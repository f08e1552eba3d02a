"""What checking a token costs of a request: one seen within the last minute, and one never seen before."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from application.authentication import authenticate
from application.messages import Context
from bench import serving
from bench.ground import Ground
from bench.load import busy, request
from bench.measuring import Row, say
from bench.profile import SignedIn, register_and_log_in
from domain.access import ANONYMOUS
from infrastructure.bootstrap import Service, open_service
from infrastructure.settings import load
from infrastructure.standing import open_keys
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.revocation import PostgresRevocations
from tests.support.databases import standing

ROUNDS = 5
CALLS = 2_000
TICKS = os.sysconf("SC_CLK_TCK")
AGAINST = "CPU of a GET /users/profile"


async def measure(ground: Ground) -> list[Row]:
    """Two rows; only the first has an aim."""
    with ground.databases.fresh() as conninfo, serving.running(conninfo, MG_USERS_BCRYPT_COST="4") as address:
        ada = await asyncio.to_thread(register_and_log_in, address)
        whole = [await _of_a_request(address, ada) for _ in range(ROUNDS)]
        settings = load({"MG_USERS_BCRYPT_COST": "4"}).settings
        footing = standing(conninfo)
        keys = await asyncio.to_thread(open_keys, footing)
        async with open_service(settings, footing, keys) as service:
            again = [await _of_a_check(service, ada, first=False) for _ in range(ROUNDS)]
            first = [await _of_a_check(service, ada, first=True) for _ in range(ROUNDS)]
    return [
        _row("checking a token seen within the last minute", again, whole, 0.1),
        _row("checking a token for the first time", first, whole, None),
    ]


async def _of_a_request(address: str, ada: SignedIn) -> float:
    """Microseconds of the server's CPU per request."""
    raw = request(address, "GET", "/users/profile", {"Authorization": f"Bearer {ada.token}"})
    before, began = _server_cpu(), time.perf_counter()
    load = await busy(address, raw)
    assert load.failed == 0, f"{load.failed} requests failed"
    requests = load.per_second * (time.perf_counter() - began)
    return (_server_cpu() - before) / requests * 1e6


async def _of_a_check(service: Service, ada: SignedIn, *, first: bool) -> float:
    """Microseconds of CPU per check."""
    ports, now = service.bus.ports, service.bus.ports.clock.now()
    context = Context(actor=ANONYMOUS, at=now, command_id=uuid4(), correlation_id=uuid4())

    revocations = ports.revocations
    assert isinstance(revocations, PostgresRevocations)
    tokens = service.tokens
    assert isinstance(tokens, LocalTokens)
    keys = tokens.keys

    async def prepare() -> None:
        if first:
            # Without one of its keys the process forgets what it has checked.
            tokens.use(keys[:1])
            tokens.use(keys)
            revocations.forget()

    async def check() -> None:
        await prepare()
        await authenticate(ada.token, context, ports)

    await check()
    return await _cpu(check) - await _cpu(prepare)


async def _cpu(call: Callable[[], Awaitable[None]]) -> float:
    before = time.thread_time()
    for _ in range(CALLS):
        await call()
    return (time.thread_time() - before) / CALLS * 1e6


def _server_cpu() -> float:
    """Seconds of CPU that the server has used; it is the child of ours that serves."""
    own = os.getpid()
    for task in Path(f"/proc/{own}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"bench.serving" in Path(f"/proc/{child}/cmdline").read_bytes():
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / TICKS
    raise AssertionError("the server is not running")


def _row(work: str, ours: list[float], limit: list[float], aim: float | None) -> Row:
    mine, theirs = statistics.median(ours), statistics.median(limit)
    say(f"  {work}: {mine:.1f} µs of {theirs:.1f} µs")
    return Row(
        work=work, against=AGAINST, ours=mine, limit=theirs, share=mine / theirs, aim=aim, unit="µs",
        rounds=ROUNDS,
    )  # fmt: skip
