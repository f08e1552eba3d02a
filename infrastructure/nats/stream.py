"""The stream that holds the published messages: its shape, and what its newest messages tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from interfaces.events.published import SOURCE

STREAM = "USERS"
SUBJECTS = "users.>"
DUPLICATE_WINDOW = 120
LOOK_BACK = 2000
"""Messages looked at in search of the newest of ours; more than a relay ever has in flight."""


class Published(msgspec.Struct, frozen=True):
    """A message of ours in the stream: where it stands there, and which event of the log it tells."""

    sequence: int
    position: int
    event_id: UUID


class _Told(msgspec.Struct):
    id: UUID
    source: str
    position: str


_told = msgspec.json.Decoder(_Told).decode


async def ensure_stream(js: JetStreamContext, replicas: int, max_age: float | None) -> None:
    """Create the stream, or bring the one that is there to what the settings say.

    What the settings do not speak of, such as a limit on its size, stays as its operator left it.
    Messages may be deleted and purged: that is how a user's messages are forgotten, and it could never be
    allowed later.
    """
    wanted: dict[str, Any] = {
        "subjects": [SUBJECTS],
        "num_replicas": replicas,
        "max_age": max_age or 0,
        "duplicate_window": DUPLICATE_WINDOW,
        "discard": DiscardPolicy.OLD,
        "allow_direct": True,
    }
    try:
        found = (await js.stream_info(STREAM)).config
    except NotFoundError:
        await js.add_stream(
            StreamConfig(
                name=STREAM,
                description="What happened to users, in the order of the log",
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                deny_delete=False,
                deny_purge=False,
                **wanted,
            )
        )
        return
    if any(getattr(found, name) != value for name, value in wanted.items()):
        await js.update_stream(found.evolve(**wanted))


async def last_sequence(js: JetStreamContext) -> tuple[int, int]:
    """The sequence that the stream reached, and how many messages it holds."""
    state = (await js.stream_info(STREAM)).state
    return state.last_seq, state.messages


async def newest_first(js: JetStreamContext, above: int) -> AsyncIterator[Published]:
    """Our messages beyond a sequence, the newest first, as far back as LOOK_BACK.

    What somebody else wrote under our subjects is passed over.
    """
    try:
        message: RawStreamMsg | None = await js.get_msg(STREAM, subject=SUBJECTS)
    except NotFoundError:
        return
    assert message is not None
    newest = message.seq or 0
    for sequence in range(newest, max(above, newest - LOOK_BACK), -1):
        if sequence != newest:
            message = await _message(js, sequence)
        if message and (published := _published(message)):
            yield published


async def _message(js: JetStreamContext, sequence: int) -> RawStreamMsg | None:
    try:
        return await js.get_msg(STREAM, seq=sequence)
    except NotFoundError:
        return None


def _published(message: RawStreamMsg) -> Published | None:
    try:
        told = _told(message.data or b"")
        position = int(told.position)
    except ValueError:
        return None
    if told.source != SOURCE or position < 1:
        return None
    return Published(message.seq or 0, position, told.id)
