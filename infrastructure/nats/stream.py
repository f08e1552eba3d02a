"""The stream that holds the published messages: its shape, and what its newest messages tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from interfaces.events.cloudevents import SOURCE

STREAM = "USERS"
SUBJECTS = "users.>"
DUPLICATE_WINDOW = 120
LOOK_BACK = 2000
"""Messages looked at in search of the newest of ours; more than a relay ever has in flight."""

_GONE = 10043
"""JetStream's code for a sequence that holds no message: somebody else was first."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of the stream; seconds and bytes, None where they set no limit."""

    replicas: int = 1
    max_age: float | None = None
    max_bytes: int | None = None
    shards: int = 0


ANY_SIZE = Shape()


class Published(msgspec.Struct, frozen=True):
    """A message of ours in the stream: where it stands there, and which event of the log it tells."""

    sequence: int
    position: int
    event_id: UUID


_SPREAD = "usersd-shards"
"""Under which name the stream remembers the numbers of shards."""


class _Told(msgspec.Struct):
    id: UUID
    source: str
    position: str


_TOLD_IN = ("id", "source", "position")
_told = msgspec.json.Decoder(_Told).decode


async def ensure_stream(js: JetStreamContext, shape: Shape) -> frozenset[int]:
    """Create the stream, or bring the one that is there to what the settings say. Answers with every number
    of shards that its messages may have been spread over; the stream remembers them.

    What the settings do not speak of, such as a limit on its size, stays as its operator left it.
    Messages may be deleted and purged: that is how a user's messages are forgotten, and it could never be
    allowed later.
    """
    wanted: dict[str, Any] = {
        "subjects": [SUBJECTS],
        "num_replicas": shape.replicas,
        "max_age": shape.max_age or 0,
        "duplicate_window": DUPLICATE_WINDOW,
        "discard": DiscardPolicy.OLD,
        "allow_direct": True,
    }
    if shape.max_bytes is not None:
        wanted["max_bytes"] = shape.max_bytes
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
                metadata={_SPREAD: str(shape.shards)},
                **wanted,
            )
        )
        return frozenset({shape.shards})
    spread = _spread(found) | {shape.shards}
    wanted["metadata"] = (found.metadata or {}) | {_SPREAD: ",".join(map(str, sorted(spread)))}
    if any(getattr(found, name) != value for name, value in wanted.items()):
        await js.update_stream(found.evolve(**wanted))
    return spread


async def spread_of(js: JetStreamContext) -> frozenset[int]:
    """Every number of shards that the messages of the stream, if there is one, may be spread over."""
    try:
        return _spread((await js.stream_info(STREAM)).config)
    except NotFoundError:
        return frozenset()


def _spread(config: StreamConfig) -> frozenset[int]:
    # What was published before the stream began to remember had a subject for each user.
    return frozenset(int(number) for number in (config.metadata or {}).get(_SPREAD, "0").split(","))


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
        if message and (published := published_in(message)):
            yield published


async def _message(js: JetStreamContext, sequence: int) -> RawStreamMsg | None:
    try:
        return await js.get_msg(STREAM, seq=sequence)
    except NotFoundError:
        return None


async def overwritten(js: JetStreamContext, sequence: int) -> bool:
    """Take a message out of the stream, its bytes overwritten; False where there is none."""
    try:
        return await js.delete_msg(STREAM, sequence)
    except NotFoundError:
        return False
    except APIError as error:
        if error.err_code != _GONE:
            raise
        return False


def published_in(message: RawStreamMsg) -> Published | None:
    headers = message.headers or {}
    try:
        if "ce-id" in headers:
            told = msgspec.convert({name: headers.get(f"ce-{name}") for name in _TOLD_IN}, _Told)
        else:
            told = _told(message.data or b"")
        position = int(told.position)
    except ValueError:
        return None
    if told.source != SOURCE or position < 1:
        return None
    return Published(message.seq or 0, position, told.id)
