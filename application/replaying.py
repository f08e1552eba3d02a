"""Telling one consumer again what the log holds, on a subject of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class UnfitSubject(Exception):
    """A subject that nothing may be replayed to; the text says why."""


class UnfitPosition(Exception):
    """Positions between which there is nothing to replay and never will be; the text says why."""


class ReplayStopped(Exception):
    """A replay could not go on. Everything up to `reached` was told."""

    def __init__(self, reached: int, reason: str) -> None:
        super().__init__(
            f"{reason}; everything up to position {reached} was told: go on with --from {reached}"
        )
        self.reached = reached


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, by position, go where: those after `after` and up to `until`, by default to the log's
    end as it is now; at most `rate` a second."""

    to: str
    after: int = 0
    until: int | None = None
    rate: int | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did: the position it reached, how many messages, and the stream that keeps them.

    `known` counts those that the stream was sent a moment ago already, and did not store once more.
    """

    position: int
    messages: int
    stream: str | None
    known: int = 0


class Replays(Protocol):
    """Operators' work on a log and a broker, with or without a service running on them."""

    def replay(self, wanted: Replay, moved: Callable[[int, int], None]) -> Replayed:
        """Publish messages again, in order; `moved` hears how many events are done, of how many.

        Raises UnfitSubject, UnfitPosition, ReplayStopped.
        """
