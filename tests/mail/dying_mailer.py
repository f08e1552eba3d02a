"""A service in a process of its own that dies as by kill -9 between two steps of a mail.

Started by a test: the arguments are the database, the port of the mail server, and the step that it
dies before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn

from infrastructure.mail import follower, rows, sender
from infrastructure.mail.smtp import Smtp
from tests.support.service import running_service


async def _die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


STEPS = {
    "enqueue": lambda: setattr(follower, "enqueue", _die),
    "claim": lambda: setattr(rows, "claim", _die),
    "send": lambda: setattr(Smtp, "deliver", _die),
    "mark": lambda: setattr(rows, "mark_sent", _die),
}


async def main(conninfo: str, port: str, step: str) -> None:
    sender.POLL = 0.02
    STEPS[step]()
    environ: dict[str, Any] = {
        "MG_EMAIL_HOST": "127.0.0.1",
        "MG_EMAIL_PORT": port,
        "MG_EMAIL_FROM_ADDRESS": "accounts@id.example",
        "MG_EMAIL_FROM_NAME": "The Accounts",
        "MG_USERS_PUBLIC_URL": "https://id.example",
    }
    async with running_service(conninfo, mail=True, **environ):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
