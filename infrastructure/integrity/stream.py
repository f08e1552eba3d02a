"""Holds a log against the stream that it was published to: which messages tell of events that it has not.

The stream has the order of the log, so that the place where both part is found by halving.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import psycopg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from infrastructure.nats.stream import STREAM, SUBJECTS, Published, overwritten, published_in

AT_ONCE = 50
_STATE = "SELECT state FROM events WHERE position = %s"


class _Told(msgspec.Struct):
    id: UUID


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """Where stream and log part: the last message that tells of an event of this log, and the first after it
    that does not, by their sequences (0 where there is none), and the highest position that was told."""

    last_sequence: int
    agrees: Published | None
    first_foreign: int
    told_until: int


async def parting(js: JetStreamContext, connection: psycopg.Connection) -> Parting:
    """Compare, by the ids of events. Raises nats.errors.Error, psycopg.Error."""
    try:
        state = (await js.stream_info(STREAM)).state
    except NotFoundError:
        return Parting(last_sequence=0, agrees=None, first_foreign=0, told_until=0)
    newest = await _ours(js, state.last_seq, state.first_seq)
    if newest is None or _is_of(connection, newest):
        told = newest.position if newest else 0
        return Parting(last_sequence=state.last_seq, agrees=newest, first_foreign=0, told_until=told)
    low, high = state.first_seq, newest.sequence
    agrees: Published | None = None
    while low < high:
        middle = (low + high) // 2
        found = await _ours(js, middle, low)
        if found is None or _is_of(connection, found):
            agrees, low = found or agrees, middle + 1
        else:
            high = found.sequence
    return Parting(
        last_sequence=state.last_seq, agrees=agrees, first_foreign=high, told_until=newest.position
    )


async def foreign(js: JetStreamContext, connection: psycopg.Connection, where: Parting) -> list[int]:
    """The sequences of the messages of ours that tell of events which the log has not."""
    found: list[int] = []
    if not where.first_foreign:
        return found
    for start in range(where.first_foreign, where.last_sequence + 1, AT_ONCE):
        some = range(start, min(start + AT_ONCE, where.last_sequence + 1))
        messages = await asyncio.gather(*(_message(js, sequence) for sequence in some))
        for message in messages:
            told = published_in(message) if message else None
            if told and not _is_of(connection, told):
                found.append(told.sequence)
    return found


async def overwrite(js: JetStreamContext, sequences: list[int]) -> int:
    """Take messages out of the stream, their bytes overwritten; how many there were."""
    count = 0
    for start in range(0, len(sequences), AT_ONCE):
        count += sum(
            await asyncio.gather(*(overwritten(js, one) for one in sequences[start : start + AT_ONCE]))
        )
    return count


async def _ours(js: JetStreamContext, sequence: int, first: int) -> Published | None:
    """The newest message of ours at a sequence or before it, down to a first one."""
    for at in range(sequence, first - 1, -1):
        message = await _message(js, at)
        if message and (told := published_in(message)):
            return told
    return None


async def _message(js: JetStreamContext, sequence: int) -> RawStreamMsg | None:
    try:
        return await js.get_msg(STREAM, seq=sequence)
    except NotFoundError:
        return None


def _is_of(connection: psycopg.Connection, told: Published) -> bool:
    """Whether the log has the event that a message tells of, where the message says."""
    row = connection.execute(_STATE, (told.position,)).fetchone()
    if row is None:
        return False
    try:
        return msgspec.json.decode(row[0], type=_Told).id == told.event_id
    except (msgspec.MsgspecError, ValueError):
        return False


__all__ = ["SUBJECTS", "Parting", "foreign", "overwrite", "parting"]
