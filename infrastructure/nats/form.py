"""What the relay needs of a form, and what a form is given: the parts of one session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

import psycopg
from nats.aio.client import Client
from nats.js import JetStreamContext

from infrastructure.event_store.log import EventReader
from infrastructure.nats.position import Lease
from infrastructure.nats.publisher import Publisher
from projections.readmodel import PageTrace


class Session:
    """One owner's time: a lease, a connection to the log, one to the broker.

    `renew` keeps the lease, or raises Fenced. `first_page` is how many events may be tried together at first.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        reader: EventReader,
        lease: Lease,
        renew: Callable[[], Awaitable[None]],
        client: Client,
        publisher: Publisher,
        *,
        first_page: int,
        trace: PageTrace | None = None,
        api_seconds: float = 4.0,
    ) -> None:
        self.connection = connection
        self.reader = reader
        self.lease = lease
        self.renew = renew
        self.client = client
        self.publisher = publisher
        self.first_page = first_page
        self.trace = trace
        self.js: JetStreamContext = client.jetstream(timeout=api_seconds)


class Steps(Protocol):
    """The log on its way to a stream; `moved` tells whether the position has."""

    moved: bool

    async def step(self) -> bool:
        """Do the next piece of work; whether there was any. Raises Held, Fenced, BrokerLost or Refused."""


class Form(Protocol):
    """One form in which events are told, and the stream that takes its messages."""

    @property
    def name(self) -> str:
        """The relay's name in the database: each form has a position and a lease of its own."""

    async def begin(self, session: Session) -> Steps:
        """Make the stream ready, find out from it where to go on, and go on from there."""

    async def forget(self, session: Session, user_id: UUID) -> None:
        """Overwrite the user's messages, and record it with `cleared` when none is left."""
