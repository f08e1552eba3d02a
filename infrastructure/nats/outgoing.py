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
    """What shapes the messages: how one is told, how large it may be for the broker, and the ids of those
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
    """The message, if the broker takes one of its size. Raises Held."""
    if len(telling.body) > largest:
        raise Held(event, f"a message of {len(telling.body)} bytes, and the broker takes {largest}")
    return telling
