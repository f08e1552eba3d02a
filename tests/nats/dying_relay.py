"""A relay in a process of its own that dies as by kill -9 between two of its steps.

Started by a test: the arguments are the database, the broker, the position it may still record, and the
step beyond that position before which it dies: sending, answer, record or rest.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import psycopg

from infrastructure.nats import flow
from infrastructure.nats.position import Lease, advance
from infrastructure.nats.publisher import Answering, Publisher
from interfaces.events.telling import Telling
from tests.nats.service import Service


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(conninfo: str, nats_url: str, last: int, step: str) -> None:
    send = Publisher.send

    async def sending(
        publisher: Publisher, chain: Sequence[Telling], sequence: int, behind: str | None
    ) -> Answering:
        beyond = sequence + len(chain) > last
        if beyond and step == "sending":
            die()
        answering = await send(publisher, chain, sequence, behind)
        if beyond and step == "answer":
            # Whatever the kernel has taken by now is on its way, and the rest is not.
            die()
        return answering

    async def recording(
        connection: psycopg.AsyncConnection, name: str, lease: Lease, position: int, sequence: int
    ) -> None:
        if position > last and step == "record":
            die()
        await advance(connection, name, lease, position, sequence)
        if position > last and step == "rest":
            die()

    Publisher.send = sending  # type: ignore[assignment,method-assign]
    flow.advance = recording  # type: ignore[attr-defined]
    async with Service(conninfo, nats_url) as service:
        await service.relay().run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
