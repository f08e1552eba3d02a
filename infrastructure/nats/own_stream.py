"""The stream USERS, which belongs to this service: CloudEvents, in order, fenced by the stream's sequence."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from infrastructure.nats.clearing import cleared
from infrastructure.nats.flow import Flow
from infrastructure.nats.forget import forget
from infrastructure.nats.form import Session, Steps
from infrastructure.nats.outgoing import Limits, largest_for
from infrastructure.nats.publisher import Refused
from infrastructure.nats.resynchronise import resynchronise
from infrastructure.nats.stream import ANY_SIZE, STREAM, Shape, ensure_stream, spread_of
from interfaces.events.published import tell
from interfaces.events.telling import Mode, Pii

NAME = "users"


class KeepsMessages(Refused):
    """Nobody could be forgotten in a stream that somebody has made so."""

    def __init__(self) -> None:
        super().__init__(
            f"the stream {STREAM} forbids deleting messages (deny_delete), so that nobody could be forgotten "
            "there, and that cannot be taken back: delete the stream, and it is made anew"
        )


class OwnStream:
    """The form `cloudevents`."""

    name = NAME

    def __init__(
        self,
        *,
        pii: Pii = "full",
        mode: Mode = "structured",
        shape: Shape = ANY_SIZE,
    ) -> None:
        self._tell = partial(tell, pii=pii, mode=mode, shards=shape.shards)
        self._shape = shape
        self._spread: frozenset[int] | None = None

    async def begin(self, session: Session) -> Steps:
        self._spread = await ensure_stream(session.js, self._shape)
        config = (await session.js.stream_info(STREAM)).config
        if config.deny_delete:
            raise KeepsMessages
        there = await resynchronise(session.connection, self.name, session.lease, session.js, session.reader)
        await session.publisher.start(session.client, linked=self._shape.replicas == 1)
        return Flow(
            session.connection,
            self.name,
            session.lease,
            session.reader,
            session.publisher,
            # Its operator may have bounded it.
            Limits(self._tell, largest_for(session.client.max_payload, config.max_msg_size), there),
            session.first_page,
            session.trace,
            partial(self.forget, session),
        )

    async def forget(self, session: Session, user_id: UUID) -> None:
        if self._spread is None:
            self._spread = await spread_of(session.js)
        await forget(session, user_id, self._spread)
        await cleared(session.connection, self.name, user_id)
