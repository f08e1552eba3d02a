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
from nats.js import JetStreamContext


def nats_url() -> str:
    if url := os.environ.get("NATS_URL") or os.environ.get("MG_USERS_ES_URL"):
        return url
    endpoints = Path(os.environ.get("MG_USERS_DATA_DIR") or ".usersd", "endpoints.json")
    if not endpoints.exists() or not (url := json.loads(endpoints.read_text())["nats"]):
        raise SystemExit("Set NATS_URL, or run this where `usersd run` runs with a NATS of its own.")
    return str(url)


async def caught_up(messages: JetStreamContext.PullSubscription) -> bool:
    seen = await messages.consumer_info()
    return not seen.num_pending and not seen.num_ack_pending


async def follow(durable: str, until_caught_up: bool) -> None:
    async with await nats.connect(nats_url()) as connection:
        # The broker remembers under the durable name how far this consumer has come.
        messages = await connection.jetstream().pull_subscribe("users.>", durable=durable, stream="USERS")
        while True:
            try:
                batch = await messages.fetch(64, timeout=0.5 if until_caught_up else 5)
            except TimeoutError:  # Nothing new came; a cancellation may hide behind it.
                task = asyncio.current_task()
                if (task and task.cancelling()) or (until_caught_up and await caught_up(messages)):
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
    arguments.add_argument("--until-caught-up", action="store_true", help="end when nothing is left to read")
    chosen = arguments.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(chosen.durable, chosen.until_caught_up))
