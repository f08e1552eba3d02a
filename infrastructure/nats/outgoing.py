"""Turns pages of the log into chains of messages, and stops before what cannot be told yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from uuid import UUID

import msgspec

from application.ports import Recorded, Unreadable
from domain.events import ErasureRequested
from interfaces.events.published import message_of
from interfaces.events.telling import Telling

CHAIN_BYTES = 8 * 1024 * 1024

FENCE_BYTES = 160
"""No more than the headers take with which the publisher names the stream and what must be last in it."""


class Held(Exception):
    """An event that cannot be published. Everything behind it waits, because order is promised."""

    def __init__(self, event: Recorded | Unreadable, reason: str) -> None:
        super().__init__(f"held at position {event.position} ({event.name}): {reason}")


class Chain(msgspec.Struct, frozen=True):
    """The messages of a run of events, and the position that the log is told to when they are stored.

    There are fewer messages than events where the world does not hear of some. `forgotten` are the users
    whose earlier messages must go before the log is told.
    """

    messages: Sequence[Telling]
    reached: int
    forgotten: Sequence[UUID] = ()


class Limits(msgspec.Struct, frozen=True):
    """What shapes the messages: how one is told, how large it may be with its headers, and the ids of those
    that the stream has already, ahead of their turn."""

    tell: Callable[[Recorded], Telling]
    largest: int
    there: Set[str] = frozenset()


def chain(page: Sequence[Recorded | Unreadable], limits: Limits) -> Chain:
    """As much of a page as can be published in one go. Raises Held where that is nothing."""
    messages: list[Telling] = []
    forgotten: list[UUID] = []
    reached = room = 0
    for event in page:
        try:
            message = _outgoing(event, limits)
        except Held:
            if not reached:
                raise
            break
        reached = event.position
        if event.name == ErasureRequested.stored_name:
            forgotten.append(event.user_id)
        if message is not None:
            messages.append(message)
            room += len(message.body)
            if room > CHAIN_BYTES:
                break
    return Chain(messages, reached, forgotten)


def _outgoing(event: Recorded | Unreadable, limits: Limits) -> Telling | None:
    if isinstance(event, Unreadable):
        raise Held(event, event.reason)
    if message_of(event) is None or str(event.event_id) in limits.there:
        return None
    try:
        telling = limits.tell(event)
    except Exception as error:
        raise Held(event, type(error).__name__) from None
    return bounded(event, telling, limits.largest)


def bounded(event: Recorded, telling: Telling, largest: int) -> Telling:
    """The message, if the stream takes one of its size. Raises Held."""
    if (size := size_of(telling)) > largest:
        raise Held(event, f"a message of {size} bytes, and the stream takes {largest}")
    return telling


def size_of(telling: Telling) -> int:
    """The bytes of a message as brokers and streams count them: with its headers (NATS ADR-4)."""
    headers = {**telling.headers, "Nats-Msg-Id": telling.message_id}
    lines = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
    return len("NATS/1.0\r\n\r\n") + lines + FENCE_BYTES + len(telling.body)


def largest_for(max_payload: int, max_msg_size: int | None) -> int:
    """The bytes that a message may have for the broker and for the stream, which may set no bound."""
    return min(max_payload, max_msg_size) if max_msg_size and max_msg_size > 0 else max_payload
