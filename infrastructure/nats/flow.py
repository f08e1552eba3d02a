"""What is on its way to the stream: reads ahead of the acknowledgements, moves the position behind them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec
import psycopg

from infrastructure.event_store.log import EventReader
from infrastructure.nats.outgoing import Held, Limits, chain
from infrastructure.nats.position import Lease, advance
from infrastructure.nats.publisher import Answering, Publisher, check
from projections.readmodel import PageTrace

PAGE = 256
IN_FLIGHT = 2
"""Chains that may be on their way at once: the log is read and rendered while the broker stores."""


class _Sent(msgspec.Struct, frozen=True):
    """A chain on its way, and where the log and the stream stand once it is stored."""

    position: int
    sequence: int
    messages: int
    answering: Answering | None
    ended: Callable[[], None] | None
    forgotten: Sequence[UUID] = ()


class Flow:
    """Publishes from a lease's position on, a page at a time.

    Pages grow from the first one's size: what the stream has refused is first tried with a message alone.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        name: str,
        lease: Lease,
        reader: EventReader,
        publisher: Publisher,
        limits: Limits,
        first_page: int = PAGE,
        trace: PageTrace | None = None,
        forget: Callable[[UUID], Awaitable[None]] | None = None,
    ) -> None:
        self._trace = trace
        self._forget = forget
        self._connection = connection
        self._name = name
        self._lease = lease
        self._reader = reader
        self._publisher = publisher
        self._limits = limits
        self._size = first_page
        self._flight: deque[_Sent] = deque()
        self._position = lease.position
        self._sequence = lease.last_sequence
        self._behind: str | None = None
        self.moved = False

    async def step(self) -> bool:
        """Send a page or settle one; whether there was anything to do.

        Raises Held, Fenced, BrokerLost or Refused.
        """
        # Behind a message that is tried alone, nobody knows yet at which sequence the next one will stand.
        if len(self._flight) < (IN_FLIGHT if self._size > 1 else 1) and await self._send():
            return True
        if self._flight:
            await self._settle(self._flight.popleft())
            return True
        return False

    async def _send(self) -> bool:
        """Send what comes next; whether still more is likely to be there."""
        page = await self._reader.read(self._connection, self._position, self._size)
        if not page:
            return False
        try:
            found = chain(page, self._limits)
        except Held:
            if not self._flight:
                raise
            return False
        answering = None
        if found.messages:
            answering = await self._publisher.send(found.messages, self._sequence, self._behind)
            self._behind = found.messages[-1].message_id
        self._position = found.reached
        self._sequence += len(found.messages)
        ended = self._trace("publish", page) if self._trace else None
        self._flight.append(
            _Sent(self._position, self._sequence, len(found.messages), answering, ended, found.forgotten)
        )
        return len(page) == self._size

    async def _settle(self, sent: _Sent) -> None:
        stored = sent.answering is not None and await check(
            sent.answering, sent.sequence, alone=sent.messages == 1
        )
        sequence = sent.sequence if stored else self._lease.last_sequence
        if self._forget is not None:
            for user_id in sent.forgotten:
                # Everything of theirs that was ever sent is stored by now, and nothing more will be.
                await self._forget(user_id)
        await advance(self._connection, self._name, self._lease, sent.position, sequence)
        if sent.ended:
            sent.ended()
        self.moved = True
        if stored or not sent.messages:
            # What the stream knows already may be followed by more of it.
            self._size = min(self._size * 2, PAGE)
        if not self._flight:
            self._sequence, self._behind = sequence, None
