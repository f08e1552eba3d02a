"""Takes the messages of a forgotten user out of the stream, one by one, their bytes overwritten.

A purge by subject would only mark them as deleted and leave the bytes in the files of the broker. Deleting a
message by its sequence overwrites it there, unless it is asked not to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Set
from uuid import UUID

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RawStreamMsg
from nats.js.errors import NotFoundError

from infrastructure.nats.form import Session
from infrastructure.nats.publisher import BrokerLost
from infrastructure.nats.stream import STREAM, overwritten
from interfaces.events.published import outlives_the_key, shard_of

AT_ONCE = 50
"""Messages that are overwritten together; then the record is brought up to date and the lease renewed."""

LOOKED_AT = 500
"""Messages of a shard that are asked for together."""

PATIENCE = 4.0
RENEWED = 1.0
IDLE = 30.0
"""Seconds after which the broker forgets a reader of a shard that has ended without a word."""

_RECORD = "UPDATE erasures SET messages = messages + %s WHERE user_id = %s"


class _Told(msgspec.Struct):
    subject: str


_told = msgspec.json.Decoder(_Told).decode


async def forget(session: Session, user_id: UUID, spread: Set[int]) -> None:
    """Overwrite every message of a user but those that outlive the user's key, and record it.

    `spread` are the numbers of shards that messages were ever spread over; 0 stands for subjects of users,
    where the broker itself finds the messages of one. A shard is read from its beginning to its end.
    Killed, it is begun again and finds what is left.
    """
    if 0 in spread:
        await _overwrite_all(session, user_id, _of_subject(session.js, f"users.{user_id}.>"))
    shards = sorted({shard_of(user_id, number) for number in spread if number})
    if shards:
        await _overwrite_all(session, user_id, _of_shards(session, user_id, shards))


async def _overwrite_all(session: Session, user_id: UUID, found: AsyncIterator[int]) -> None:
    together: list[int] = []
    async for sequence in found:
        together.append(sequence)
        if len(together) == AT_ONCE:
            await _overwrite_some(session, user_id, together)
            together = []
    await _overwrite_some(session, user_id, together)


async def _overwrite_some(session: Session, user_id: UUID, sequences: list[int]) -> None:
    if not sequences:
        return
    # The broker answers many at a time as soon as one.
    count = sum(await asyncio.gather(*(overwritten(session.js, one) for one in sequences)))
    await session.connection.execute(_RECORD, (count, user_id))
    await session.renew()


async def _of_subject(js: JetStreamContext, subject: str) -> AsyncIterator[int]:
    """The sequences of what was published under a subject."""
    sequence = 1
    while (message := await _next(js, sequence, subject)) is not None:
        assert message.seq is not None
        sequence = message.seq + 1
        if not outlives_the_key(message.subject or ""):
            yield message.seq


async def _of_shards(session: Session, user_id: UUID, shards: list[int]) -> AsyncIterator[int]:
    """The sequences of a user's messages among those of everybody in the same shards."""
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        filter_subjects=[f"users.{shard}.>" for shard in shards],
        inactive_threshold=IDLE,
        mem_storage=True,
        num_replicas=1,
    )
    reader = await session.js.add_consumer(STREAM, config)
    messages = await session.js.pull_subscribe_bind(consumer=reader.name, stream=STREAM)
    left, seen, renewed = reader.num_pending or 0, 0, time.monotonic()
    try:
        while left:
            for message in await messages.fetch(min(left, LOOKED_AT), timeout=PATIENCE):
                left, seen = message.metadata.num_pending, seen + 1
                if message.metadata.sequence.consumer != seen:
                    raise BrokerLost("messages of a shard were lost on their way")
                if _is_about(message, user_id) and not outlives_the_key(message.subject):
                    yield message.metadata.sequence.stream
            if time.monotonic() - renewed > RENEWED:
                await session.renew()
                renewed = time.monotonic()
    finally:
        await messages.unsubscribe()
        await session.js.delete_consumer(STREAM, reader.name)


def _is_about(message: Msg, user_id: UUID) -> bool:
    if told := (message.headers or {}).get("ce-subject"):
        return told == str(user_id)
    if str(user_id).encode() not in message.data:
        return False
    try:
        return _told(message.data).subject == str(user_id)
    except msgspec.MsgspecError:
        # Somebody else's message under our subjects.
        return False


async def _next(js: JetStreamContext, sequence: int, subject: str) -> RawStreamMsg | None:
    try:
        return await js.get_msg(STREAM, seq=sequence, subject=subject, next=True)
    except NotFoundError:
        return None
