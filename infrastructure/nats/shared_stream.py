"""The stream `events`, which belongs to the platform: the old forms, one message at a time.

Others write there too, so the stream's last sequence is no fence. Each message names the last sequence of its
own subject instead, which nobody else writes under, and waits for its answer before the next one is sent. A
relay that was believed dead therefore stores nothing that another has told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from application.ports import Recorded
from infrastructure.nats.afterwards import Afterwards
from infrastructure.nats.clearing import cleared
from infrastructure.nats.form import Session, Steps
from infrastructure.nats.one_by_one import PAGE, OneByOne, Seen, kept_as
from infrastructure.nats.outgoing import largest_for
from infrastructure.nats.position import advance
from infrastructure.nats.publisher import Refused
from infrastructure.nats.remembered import Kept, Remembered
from interfaces.events.old_forms import OldForm, message_id
from interfaces.events.telling import Pii

STREAM = "events"
DAY = 86_400
LOOK_BACK = 2000
"""Messages looked at before the newest one, where nothing is known of the stream."""

FROM_THE_BEGINNING = -1
"""Stands in our record where the stream was known before it held a message; 0: it was never looked at."""

EVERYTHING = 2**62
RENEW_EVERY = 200
AT_ONCE = 50

_RECORD = "UPDATE erasures SET messages = messages + %s WHERE user_id = %s"
_GONE = 10043


class KeepsForEver(Refused):
    """Nothing personal may go into a stream that neither lets go of a message nor lets one be deleted."""

    def __init__(self) -> None:
        super().__init__(
            f"the stream {STREAM} forbids deleting messages and keeps them for ever, so that nobody could be "
            "forgotten there: allow it (deny_delete) or set a max_age"
        )


class SharedStream:
    """One of the old forms, in the stream that they share."""

    def __init__(self, form: OldForm, *, pii: Pii = "full") -> None:
        self.name = form.name
        self._form = form
        self._pii: Pii = pii

    async def begin(self, session: Session) -> Steps:
        await session.publisher.start(session.client, linked=False)
        seen = await self.look(session)
        return OneByOne(
            session,
            self.name,
            STREAM,
            Remembered(session.connection, self.name),
            Afterwards(session.reader),
            partial(self._form.tell, pii=self._pii),
            seen,
            look=partial(self.look, session),
            forget=partial(self.forget, session),
            tidy=partial(self.tidy, session),
        )

    async def look(self, session: Session) -> Seen:
        """What the stream holds and takes, after our record was put right. Raises Fenced: it is true only
        of an owner."""
        info = await ensured(session.js)
        if info.config.deny_delete and not info.config.max_age:
            raise KeepsForEver
        remembered = Remembered(session.connection, self.name)
        await remembered.drop_before(info.state.first_seq)
        after = await self._record(session, remembered, info)
        there = await self._there(session, after)
        last = await self._last_of_each(session)
        await session.renew()
        return Seen(there, last, largest_for(session.client.max_payload, info.config.max_msg_size))

    async def _there(self, session: Session, after: int) -> dict[str, int]:
        """The sequences of our messages beyond one, by message id."""
        there: dict[str, int] = {}
        async for message in self._from(session, after + 1):
            if (told := (message.headers or {}).get("Nats-Msg-Id")) and message.seq:
                there[told] = message.seq
        return there

    async def _record(self, session: Session, remembered: Remembered, info: StreamInfo) -> int:
        """The sequence behind which our record does not know the stream; the record is put right before."""
        lease, reached = session.lease, info.state.last_seq
        newest = await remembered.newest(reached)
        lost = await remembered.first_lost(reached)
        same = newest is None or await self._is_there(session, newest) is not False
        if same and lost is None and lease.last_sequence and lease.last_sequence <= reached:
            return max(lease.last_sequence, 0)
        position, after = lease.position, max(reached - LOOK_BACK, 0)
        if same and newest is not None:
            # What the broker had not written to disk when it lost its power is told again.
            position, after = min(position, lost - 1 if lost else position), newest.sequence
        async with session.connection.transaction():
            await remembered.drop_after(reached if same else 0)
            # Before anything is told: what is stored and never recorded lies behind that, however much
            # others write meanwhile.
            await advance(session.connection, self.name, lease, position, after or FROM_THE_BEGINNING)
        return after

    async def _is_there(self, session: Session, kept: Kept) -> bool | None:
        """Whether a message is the one that was remembered; None where it has gone."""
        message = await _message(session, kept.sequence)
        if message is None:
            return None
        return (message.headers or {}).get("Nats-Msg-Id") == f"{kept.event_id}.{self.name}"

    async def _last_of_each(self, session: Session) -> dict[str, int]:
        async def last(subject: str) -> int:
            try:
                return (await session.js.get_last_msg(STREAM, subject)).seq or 0
            except NotFoundError:
                return 0

        subjects = self._form.every_subject()
        return dict(zip(subjects, await asyncio.gather(*map(last, subjects)), strict=True))

    async def _from(self, session: Session, sequence: int) -> AsyncIterator[RawStreamMsg]:
        """The messages under our subjects from a sequence on."""
        seen = 0
        while True:
            try:
                message = await session.js.get_msg(
                    STREAM, seq=sequence, subject=self._form.subjects, next=True
                )
            except NotFoundError:
                return
            yield message
            assert message.seq is not None
            sequence = message.seq + 1
            seen += 1
            if seen % RENEW_EVERY == 0:
                await session.renew()

    async def tidy(self, session: Session) -> None:
        """Let go of what the stream has let go of by itself."""
        try:
            first = (await session.js.stream_info(STREAM)).state.first_seq
        except NotFoundError:
            first = EVERYTHING
        await Remembered(session.connection, self.name).drop_before(first)

    async def forget(self, session: Session, user_id: UUID) -> None:
        """Overwrite what was remembered of the user, if it is ours still.

        A stream that forbids it keeps what it holds until that has aged; then this is done at a later look.
        """
        remembered = Remembered(session.connection, self.name)
        await self.tidy(session)
        await self._find_unrecorded(session, remembered)
        while kept := await remembered.of_user(user_id, AT_ONCE):
            found = await asyncio.gather(*(self._overwrite(session, one) for one in kept))
            if None in found:
                return
            async with session.connection.transaction():
                await session.connection.execute(_RECORD, (sum(map(bool, found)), user_id))
                await remembered.drop([one.sequence for one in kept])
            await session.renew()
        await cleared(session.connection, self.name, user_id)

    async def _find_unrecorded(self, session: Session, remembered: Remembered) -> None:
        """Remember what was stored by a session that ended before it could record it.

        The next session would find it, but a form that is switched off has none.
        """
        lease = session.lease
        if there := await self._there(session, max(lease.last_sequence, 0)):
            page = await session.reader.read(session.connection, lease.position, PAGE)
            told = (event for event in page if isinstance(event, Recorded))
            ids = ((event, message_id(event, self.name)) for event in told)
            await remembered.keep([kept_as(event, there[found]) for event, found in ids if found in there])

    async def _overwrite(self, session: Session, kept: Kept) -> bool | None:
        """Whether a message was ours and is overwritten; None where the stream keeps it."""
        if not await self._is_there(session, kept):
            return False
        try:
            return await session.js.delete_msg(STREAM, kept.sequence)
        except NotFoundError:
            return False
        except APIError as error:
            if error.err_code == _GONE:
                return False
            if (await session.js.stream_info(STREAM)).config.deny_delete:
                return None
            raise


async def ensured(js: JetStreamContext) -> StreamInfo:
    """The stream as its owner has it; one like the originals made where there is none."""
    try:
        return await js.stream_info(STREAM)
    except NotFoundError:
        return await js.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=["events.>"],
                retention=RetentionPolicy.LIMITS,
                max_msgs_per_subject=10**9,
                max_age=DAY,
                max_msg_size=1024 * 1024,
                discard=DiscardPolicy.OLD,
                storage=StorageType.FILE,
            )
        )


async def _message(session: Session, sequence: int) -> RawStreamMsg | None:
    try:
        return await session.js.get_msg(STREAM, seq=sequence)
    except NotFoundError:
        return None
