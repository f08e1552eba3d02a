"""Tries certificates in a process of its own: granian ends its whole process over some that it cannot use."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import msgspec
from granian.http import HTTP1Settings, HTTP2Settings

from infrastructure.server.certificates import Material, Named, TlsFiles
from infrastructure.server.listener import Turn, listening_socket

PATIENCE = 30.0
_NEEDED = ("PATH", "PYTHON", "LD_")
_TRIES = 2
_ROUNDS = 50
"""Rounds of the event loop after which the server has surely begun."""


def rehearse(files: TlsFiles, material: Material) -> None:
    """Takes about half a second. Raises UnfitCertificate for what our own check has let pass."""
    try:
        # Once more where it was not: on a busy machine a process may end for other reasons.
        served = any(_outcome(material) == 0 for _ in range(_TRIES))
        reason = "" if served else "the HTTP server cannot use it, or its key or authorities"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"it could not be tried: {type(error).__name__}"
    if reason:
        named = Named(files.certificate_field, files.certificate)
        raise named.unfit("a certificate that can be served with", reason)


def _outcome(material: Material) -> int:
    environ = {name: value for name, value in os.environ.items() if name.startswith(_NEEDED)}
    tried = subprocess.run(
        [sys.executable, "-P", "-m", __spec__.name],
        input=msgspec.json.encode(material),
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    return tried.returncode


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Never called: nobody connects."""


async def _try(material: Material) -> None:
    with listening_socket("127.0.0.1", 0) as listening:
        turn = Turn(_nothing, listening, material, HTTP1Settings(), HTTP2Settings(), most_connections=1)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        turn.stop()
        await turn.serving


if __name__ == "__main__":
    asyncio.run(_try(msgspec.json.decode(sys.stdin.buffer.read(), type=Material)))
    # The server has served and stopped, which is all that was to be known. Its threads may outlive the
    # interpreter, and would then end the process with another verdict.
    os._exit(0)
