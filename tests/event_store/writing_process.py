"""A process that appends many commands at once, some of them bound to be refused.

    python -m tests.event_store.writing_process CONNINFO PREFIX

Says when it is ready, begins when told to, and prints outcome and position of every command as JSON.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from infrastructure.event_store.appender import Appender
from infrastructure.event_store.prepared import Outcome
from tests.event_store.writing import Writer

TASKS = 20
CHANGES = 25


async def one(appender: Appender, writer: Writer, name: str) -> list[Outcome]:
    user = writer.register(name)
    outcomes = [await appender.append(user)]
    for number in range(CHANGES):
        stale = writer.tag(user.stream_id, "stale", advance=False)
        outcomes.append(await appender.append(writer.tag(user.stream_id, str(number))))
        outcomes.append(await appender.append(stale))
        outcomes.append(await appender.append(writer.register("everybody's")))
    return outcomes


async def main(conninfo: str, prefix: str) -> list[Outcome]:
    async with Appender(conninfo, patience=60) as appender:
        writer = Writer()
        await appender.append(writer.register(f"{prefix} is ready"))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        lives = [one(appender, writer, f"{prefix}{number}") for number in range(TASKS)]
        return [outcome for life in await asyncio.gather(*lives) for outcome in life]


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(main(sys.argv[1], sys.argv[2]))))
