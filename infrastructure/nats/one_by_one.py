"""The log on its way to a stream that others write to as well: each message waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from application.ports import Recorded, Unreadable
from domain.events import Erased, ErasureRequested
from domain.user import User
from infrastructure.nats.afterwards import Afterwards
from infrastructure.nats.form import Session
from infrastructure.nats.outgoing import Held, bounded
from infrastructure.nats.position import advance
from infrastructure.nats.publisher import Answer, BrokerLost, Refused, heard, words
from infrastructure.nats.remembered import Kept, Remembered
from interfaces.events.telling import Telling

PAGE = 64
TIDY_SECONDS = 600

_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
"""JetStream's codes for it, the second from 2.12 on."""

Look = Callable[[], Awaitable[tuple[dict[str, int], dict[str, int]]]]


class OneByOne:
    """Publishes from the lease's position on.

    `there` are messages of ours that the stream holds beyond our record, by message id: they are not told
    again. `last` is the last sequence of each subject. `look` finds out both anew.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        stream: str,
        remembered: Remembered,
        users: Afterwards,
        tell: Callable[[Recorded, User | None], Telling | None],
        there: dict[str, int],
        last: dict[str, int],
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
        self._there = there
        self._last = last
        self._look = look
        self._forget = forget
        self._tidy = tidy
        self._tidied = asyncio.get_running_loop().time()
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
            except Held:
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
        # Forgotten a moment ago; the log says so further on.
        if user is None and not event.forgotten:
            return
        try:
            telling = self._tell(event, user)
        except Exception as error:
            raise Held(event, type(error).__name__) from None
        if telling is None:
            return
        sequence = self._there.pop(telling.message_id, None)
        if sequence is None:
            sequence = await self._store(bounded(event, telling, self._session.client.max_payload))
        is_gone = isinstance(event.event, Erased)
        kept.append(Kept(sequence, event.position, event.event_id, event.user_id, is_gone))

    async def _store(self, telling: Telling) -> int:
        """The sequence under which the stream has the message. Raises BrokerLost or Refused."""
        answer = await self._send(telling)
        if answer.error is not None and answer.error.err_code in _WRONG_LAST_SEQUENCE:
            # The last one aged or was deleted, or somebody else wrote under our subject: look, try once more.
            await self._look_again()
            if (sequence := self._there.pop(telling.message_id, None)) is not None:
                return sequence
            answer = await self._send(telling)
        if answer.error is not None:
            raise Refused(words(answer.error))
        self._last[telling.subject] = max(answer.seq, self._last.get(telling.subject, 0))
        return answer.seq

    async def _look_again(self) -> None:
        position = self._session.lease.position
        self._there, self._last = await self._look()
        if self._session.lease.position != position:
            # What is read already lies ahead of where we are now.
            raise BrokerLost("the stream has lost messages")

    async def _send(self, telling: Telling) -> Answer:
        return await heard(
            await self._session.publisher.send_alone(
                telling, self._stream, self._last.get(telling.subject, 0)
            )
        )
