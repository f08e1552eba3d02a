"""Takes the messages of a forgotten user out of the stream, one by one, their bytes overwritten.

A purge by subject would only mark them as deleted and leave the bytes in the files of the broker. Deleting a
message by its sequence overwrites it there, unless it is asked not to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from infrastructure.nats.stream import STREAM
from interfaces.events.published import outlives_the_key

AT_ONCE = 50
"""Messages that are overwritten together; then the record is brought up to date and the lease renewed."""

_GONE = 10043
"""JetStream's code for a sequence that holds no message: somebody else was first."""

_RECORD = "UPDATE erasures SET messages = messages + %s WHERE user_id = %s"
_CLEARED = """
UPDATE erasures SET cleared_at = coalesce(cleared_at, now()) WHERE user_id = %s"""


async def forget(
    connection: psycopg.AsyncConnection,
    js: JetStreamContext,
    user_id: UUID,
    renew: Callable[[], Awaitable[None]],
) -> None:
    """Overwrite every message of a user but those that outlive the user's key, and record it.

    `renew` keeps whatever entitles the caller to do so. Killed, it is begun again and finds what is left.
    """
    sequence = 1
    while True:
        found, sequence = await _some(js, user_id, sequence)
        if not found:
            break
        # The broker answers many at a time as soon as one.
        overwritten = sum(await asyncio.gather(*(_overwrite(js, one) for one in found)))
        await connection.execute(_RECORD, (overwritten, user_id))
        await renew()
    await connection.execute(_CLEARED, (user_id,))


async def _some(js: JetStreamContext, user_id: UUID, sequence: int) -> tuple[list[int], int]:
    """Sequences of the user's messages from one on, as many as are taken at once, and where to go on."""
    found: list[int] = []
    while len(found) < AT_ONCE and (message := await _next(js, sequence, f"users.{user_id}.>")) is not None:
        assert message.seq is not None
        sequence = message.seq + 1
        if not outlives_the_key(message.subject or ""):
            found.append(message.seq)
    return found, sequence


async def _next(js: JetStreamContext, sequence: int, subject: str) -> RawStreamMsg | None:
    try:
        return await js.get_msg(STREAM, seq=sequence, subject=subject, next=True)
    except NotFoundError:
        return None


async def _overwrite(js: JetStreamContext, sequence: int) -> bool:
    try:
        return await js.delete_msg(STREAM, sequence)
    except NotFoundError:
        return False
    except APIError as error:
        if error.err_code != _GONE:
            raise
        return False
