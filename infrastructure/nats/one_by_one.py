"""The log on its way to a stream that others write to as well: each message waits for its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
from typing import Protocol
from uuid import UUID

import msgspec

from application.ports import Recorded, Unreadable
from domain.events import Erased, ErasureRequested
from domain.user import User
from infrastructure.nats.afterwards import Afterwards
from infrastructure.nats.form import Session
from infrastructure.nats.outgoing import Held, bounded, size_of
from infrastructure.nats.position import advance
from infrastructure.nats.publisher import Answer, BrokerLost, Refused, heard, words
from infrastructure.nats.remembered import Kept, Remembered
from interfaces.events.old_forms import message_id
from interfaces.events.telling import Telling

PAGE = 64
TIDY_SECONDS = 600
ATTEMPTS = 5
"""How often a message is sent while others write under its subject."""

RENEWED = 1.0
"""Seconds after which the lease is renewed before the next message is sent: one whose lease is over may
not tell what its successor passes over because the user is forgotten by then."""

BULKY = frozenset({"metadata"})
"""What a message is told without where the stream would not take it."""

_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
"""JetStream's codes for it, the second from 2.12 on."""

log = logging.getLogger("usersd.relay")


class Seen(msgspec.Struct, frozen=True):
    """What the stream holds of ours beyond our record, by message id; the last sequence of each subject;
    and the bytes of the largest message that it takes, with its headers."""

    there: dict[str, int]
    last: dict[str, int]
    largest: int


Look = Callable[[], Awaitable[Seen]]


class Tell(Protocol):
    def __call__(
        self, recorded: Recorded, user: User | None, *, without: Set[str] = ...
    ) -> Telling | None: ...


def kept_as(event: Recorded, sequence: int) -> Kept:
    """What is remembered of the message that tells an event."""
    is_gone = isinstance(event.event, Erased)
    return Kept(sequence, event.position, event.event_id, event.user_id, is_gone)


class OneByOne:
    """Publishes from the lease's position on.

    What `seen` says is there is not told again, and remembered like what we have stored ourselves. `look`
    finds all of it out anew.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        stream: str,
        remembered: Remembered,
        users: Afterwards,
        tell: Tell,
        seen: Seen,
        *,
        look: Look,
        forget: Callable[[UUID], Awaitable[None]],
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        self._session = session
        self._name = name
        self._stream = stream
        self._remembered = remembered
        self._users = users
        self._tell = tell
        self._seen = seen
        self._look = look
        self._forget = forget
        self._tidy = tidy
        self._tidied = self._renewed = asyncio.get_running_loop().time()
        self._size = min(session.first_page, PAGE)
        self.moved = False

    async def step(self) -> bool:
        session, lease = self._session, self._session.lease
        await self._tidy_now_and_then()
        page = await session.reader.read(session.connection, lease.position, self._size)
        if not page:
            return False
        await self._users.prepare(session.connection, page)
        ended = session.trace("publish", page) if session.trace else None
        kept: list[Kept] = []
        for event in page:
            try:
                await self._publish(event, kept)
            except (Held, Refused):
                # What is stored by now is recorded: the next attempt begins where this one ended.
                await self._settle(event.position - 1, kept)
                raise
            if event.name == ErasureRequested.stored_name:
                # What was told of them a moment ago has to be among what is remembered.
                await self._settle(event.position - 1, kept)
                await self._forget(event.user_id)
                await self._look_again()
        await self._settle(page[-1].position, kept)
        if ended:
            ended()
        return True

    async def _settle(self, position: int, kept: list[Kept]) -> None:
        """Record what is stored and move on, in one transaction."""
        session, lease = self._session, self._session.lease
        if position == lease.position:
            return
        sequence = max((one.sequence for one in kept), default=lease.last_sequence)
        async with session.connection.transaction():
            await self._remembered.keep(kept)
            await advance(session.connection, self._name, lease, position, sequence)
        kept.clear()
        self._renewed = asyncio.get_running_loop().time()
        self.moved = True
        self._size = min(self._size * 2, PAGE)

    async def _tidy_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._tidied > TIDY_SECONDS:
            self._tidied = now
            await self._tidy()

    async def _publish(self, event: Recorded | Unreadable, kept: list[Kept]) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        if isinstance(event, Unreadable):
            raise Held(event, event.reason)
        user = self._users.after(event)
        # Found whatever is told of the event today: its user may be forgotten since it was stored.
        sequence = self._seen.there.pop(message_id(event, self._name), None)
        if sequence is None:
            telling = self._telling(event, user)
            if telling is None:
                return
            await self._keep_the_lease()
            sequence = await self._store(telling)
        kept.append(kept_as(event, sequence))

    def _telling(self, event: Recorded, user: User | None) -> Telling | None:
        """The message, where there is one. Raises Held."""
        # Forgotten a moment ago; the log says so further on.
        if user is None and not event.forgotten:
            return None
        try:
            telling = self._tell(event, user)
            if telling is not None and size_of(telling) > self._seen.largest:
                shorter = self._tell(event, user, without=BULKY) or telling
                if size_of(shorter) < size_of(telling):
                    said = "relay %s: the message of position %d is too large, and told without its metadata"
                    log.warning(said, self._name, event.position)
                    telling = shorter
        except Exception as error:
            raise Held(event, type(error).__name__) from None
        return telling and bounded(event, telling, self._seen.largest)

    async def _keep_the_lease(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._renewed > RENEWED:
            await self._session.renew()
            self._renewed = now

    async def _store(self, telling: Telling) -> int:
        """The sequence under which the stream has the message. Raises BrokerLost or Refused."""
        answer = await self._send(telling)
        for _ in range(ATTEMPTS - 1):
            if answer.error is None or answer.error.err_code not in _WRONG_LAST_SEQUENCE:
                break
            # The last one aged or was deleted, or somebody else wrote under our subject: look, try again.
            await self._look_again()
            if (sequence := self._seen.there.pop(telling.message_id, None)) is not None:
                return sequence
            answer = await self._send(telling)
        if answer.error is not None:
            raise Refused(words(answer.error))
        self._seen.last[telling.subject] = max(answer.seq, self._seen.last.get(telling.subject, 0))
        return answer.seq

    async def _look_again(self) -> None:
        """Finds also what this page has stored so far: that is behind us, and not looked up any more."""
        lease = self._session.lease
        before = lease.position, lease.last_sequence
        self._seen = await self._look()
        self._renewed = asyncio.get_running_loop().time()
        if (lease.position, lease.last_sequence) != before:
            # What is read already lies ahead of where we are now, or was stored in another stream.
            raise BrokerLost("the stream has lost messages, or is another")

    async def _send(self, telling: Telling) -> Answer:
        return await heard(
            await self._session.publisher.send_alone(
                telling, self._stream, self._seen.last.get(telling.subject, 0)
            )
        )
