"""A replica in a process of its own that dies as by kill -9 at one step of an erasure.

Started by a test: the arguments are the database, the broker, the ledger and the step after which it dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from infrastructure.bootstrap import open_service
from infrastructure.nats import forget, stream
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.support.databases import standing


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(conninfo: str, nats_url: str, ledger: str, step: str) -> None:
    overwritten = stream.overwritten

    async def die_after_the_first_message(js: Any, sequence: int) -> bool:
        await overwritten(js, sequence)
        die()
        return True

    if step == "one message overwritten":
        setattr(forget, "overwritten", die_after_the_first_message)  # noqa: B010
    settings = load({"MG_USERS_BCRYPT_COST": "4", "MG_USERS_ERASURE_LEDGER": str(Path(ledger))}).settings
    ground = standing(conninfo, nats_url)
    keys = await asyncio.to_thread(open_keys, ground)
    async with open_service(settings, ground, keys) as service:
        erasing = service.erasure.erasing
        erasing.checkpoint = lambda reached: die() if reached == step else None
        work = [erasing.run()]
        if step not in ("removed", "in the ledger", "noted"):
            # Before, they would go ahead of the steps at which the process is to die.
            work += [relay.run() for relay in service.relays]
            work += [projector.run() for projector in service.projectors]
        await asyncio.gather(*work)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
