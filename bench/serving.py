"""The service as a program of its own for the bench: real sockets, readers running, one more route."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import uvloop
from litestar import get

from bench.ground import Ground
from infrastructure.bootstrap import open_service
from infrastructure.first_admin import make_first_admin
from infrastructure.logs import configure
from infrastructure.process import tune
from infrastructure.server.http import HttpServer
from infrastructure.serving import application
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.support.databases import standing


@get("/constant", sync_to_thread=False, opt={"undocumented": True})
def constant() -> dict[str, str]:
    """What a handler costs that does nothing."""
    return {"status": "pass"}


async def _serve(conninfo: str, port: int) -> None:
    settings = load(dict(os.environ)).settings
    footing = standing(conninfo)
    keys = await asyncio.to_thread(open_keys, footing)
    async with open_service(settings, footing, keys) as service:
        await make_first_admin(service.bus, settings)
        app = application(service, settings, [constant])
        server = HttpServer(app, settings, "127.0.0.1", port)
        tasks = [asyncio.create_task(projector.run()) for projector in service.projectors]
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        server.start()
        tune()
        await stop.wait()
        await server.stop(settings.shutdown_timeout.total_seconds())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def running(conninfo: str, **environ: str) -> Iterator[str]:
    """The address of a service on a database; it logs as much as it does in production."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = subprocess.Popen(
        [sys.executable, "-m", "bench.serving", conninfo, str(port)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _until_alive(address)
        yield address
    finally:
        program.terminate()
        program.wait(20)


@contextlib.contextmanager
def on_fresh_database(ground: Ground, **environ: str) -> Iterator[str]:
    """The address of a service that nobody has used yet."""
    with ground.databases.fresh() as conninfo, running(conninfo, **environ) as address:
        yield address


def _until_alive(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{address}/livez", timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    configure(os.environ.get("MG_USERS_LOG_LEVEL", "info"))
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
