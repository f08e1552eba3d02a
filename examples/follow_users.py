"""Follow what happens to users: print each message, acknowledge it, go on where the last run stopped.

Run it beside `usersd run`, or with NATS_URL. A message that arrives twice has the same `id`.
"""

import argparse
import asyncio
import contextlib
import json
import os
from pathlib import Path

import nats
from nats.errors import TimeoutError as NothingNew


def nats_url() -> str:
    if url := os.environ.get("NATS_URL") or os.environ.get("MG_USERS_ES_URL"):
        return url
    endpoints = Path(os.environ.get("MG_USERS_DATA_DIR") or ".usersd", "endpoints.json")
    if not endpoints.exists() or not (url := json.loads(endpoints.read_text())["nats"]):
        raise SystemExit("Set NATS_URL, or run this where `usersd run` runs with a NATS of its own.")
    return str(url)


async def follow(durable: str, until_idle: float | None) -> None:
    async with await nats.connect(nats_url()) as connection:
        # The broker remembers under the durable name how far this consumer has come.
        messages = await connection.jetstream().pull_subscribe("users.>", durable=durable, stream="USERS")
        while True:
            try:
                batch = await messages.fetch(64, timeout=until_idle or 5)
            except NothingNew:
                task = asyncio.current_task()
                if until_idle is not None or (task and task.cancelling()):
                    return
                continue
            for message in batch:
                event = json.loads(message.data)
                name = message.subject.rsplit(".", 1)[1]
                print(event["position"], name, event["subject"], flush=True)
                await message.ack()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--durable", default="follow-users", help="the name to go on under")
    arguments.add_argument("--until-idle", type=float, metavar="SECONDS", help="end when nothing new came")
    chosen = arguments.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(chosen.durable, chosen.until_idle))
