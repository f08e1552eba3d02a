"""What stands in the JetStream stream, read by a consumer that shares nothing with the relay."""

from __future__ import annotations

import nats

from application.ports import Recorded, Unreadable
from interfaces.events.published import message_of


async def message_ids(url: str) -> list[str]:
    """The ids of all messages, in the order of the stream."""
    async with await nats.connect(url.split(",")) as connection:
        context = connection.jetstream()
        last = (await context.stream_info("USERS")).state.messages
        found: list[str] = []
        subscription = await context.subscribe("users.>", stream="USERS", ordered_consumer=True)
        while len(found) < last:
            message = await subscription.next_msg(timeout=10)
            found.append((message.headers or {})["Nats-Msg-Id"])
        return found


def told(log: list[Recorded | Unreadable]) -> list[str]:
    """The ids of the events that the world hears of, in the order of the log."""
    return [str(event.event_id) for event in log if isinstance(event, Recorded) and message_of(event)]
