"""A relay in a process of its own that dies as by kill -9 once the broker has taken its messages.

Started by a test: the arguments are the database, the broker and the position it may still record.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import psycopg

from infrastructure.nats import flow
from infrastructure.nats.position import Lease, advance
from tests.nats.service import Service


async def main(conninfo: str, nats_url: str, last: int) -> None:
    async def die_between_publish_and_record(
        connection: psycopg.AsyncConnection, name: str, lease: Lease, position: int, sequence: int
    ) -> None:
        if position > last:
            os.kill(os.getpid(), signal.SIGKILL)
        await advance(connection, name, lease, position, sequence)

    flow.advance = die_between_publish_and_record  # type: ignore[attr-defined]
    async with Service(conninfo, nats_url) as service:
        await service.relay().run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
