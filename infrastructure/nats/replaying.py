"""Publishes what the log holds once more, for one consumer, beside the stream and without touching it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence

import nats.errors
import psycopg
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from application.replaying import Replay, Replayed, ReplayStopped, UnfitPosition, UnfitSubject
from infrastructure.event_store.log import EventReader
from infrastructure.nats.outgoing import Held, Limits, chain
from interfaces.events.telling import Telling

PAGE = 256
TOGETHER = 64
ANSWER_SECONDS = 5.0
LISTENER_SECONDS = 0.5

_SUBJECT = re.compile(r"[^\s.*>$\x00-\x1f][^\s.*>\x00-\x1f]*(\.[^\s.*>\x00-\x1f]+)*")
_TAKEN = ("users", "events")


def check_subject(subject: str) -> None:
    """Raises UnfitSubject for what is no single subject, and for those that streams of the service take."""
    if not _SUBJECT.fullmatch(subject) or len(subject) > 255:
        raise UnfitSubject("This is no subject: words without blanks or wildcards, parted by single dots.")
    first = subject.partition(".")[0]
    if first in _TAKEN:
        raise UnfitSubject(
            f"Whatever is under {first}. goes to everybody: take a subject of the consumer's own."
        )
    if first.startswith("_"):
        raise UnfitSubject(f"{first} is for answers between clients: take a subject of the consumer's own.")


class Replaying:
    """One replay over one connection to the log and one to the broker."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        reader: EventReader,
        client: Client,
        limits: Limits,
        moved: Callable[[int, int], None],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._client = client
        self._js = client.jetstream(timeout=ANSWER_SECONDS)
        self._limits = limits
        self._moved = moved
        self._reached = 0
        self._messages = 0
        self._known = 0

    async def run(self, wanted: Replay) -> Replayed:
        """Raises UnfitSubject, UnfitPosition, ReplayStopped."""
        check_subject(wanted.to)
        self._reached = wanted.after
        try:
            head = await self._head()
            _check_positions(wanted, head)
            stream = await stream_of(self._js, wanted.to)
            await self._publish(wanted, head if wanted.until is None else wanted.until, stream)
        except (nats.errors.Error, OSError, psycopg.OperationalError) as error:
            words = getattr(error, "description", None) or type(error).__name__
            raise ReplayStopped(self._reached, f"the broker or the database failed ({words})") from None
        except Held as held:
            raise ReplayStopped(self._reached, str(held)) from None
        return Replayed(position=self._reached, messages=self._messages, stream=stream, known=self._known)

    async def _publish(self, wanted: Replay, until: int, stream: str | None) -> None:
        loop = asyncio.get_running_loop()
        started, size = loop.time(), min(PAGE, wanted.rate or PAGE)
        while page := await self._reader.read(self._connection, self._reached, size, until):
            found = chain(page, self._limits)
            for some in _parts(found.messages):
                await self._send(wanted.to, some, stream)
            self._reached = found.reached
            self._moved(self._reached - wanted.after, max(until - wanted.after, 0))
            if wanted.rate:
                await asyncio.sleep(max(0.0, started + self._messages / wanted.rate - loop.time()))
        self._reached = max(self._reached, min(until, await self._head()))

    async def _send(self, subject: str, messages: Sequence[Telling], stream: str | None) -> None:
        headers = [{**message.headers, "Nats-Msg-Id": message.message_id} for message in messages]
        pairs = list(zip(messages, headers, strict=True))
        if stream is None:
            if not self._messages:
                await self._first(subject, *pairs.pop(0))
            for message, header in pairs:
                await self._client.publish(subject, message.body, headers=header)
            await self._client.flush(timeout=int(ANSWER_SECONDS))
        else:
            # One connection: the stream takes them in this order.
            stored = await asyncio.gather(
                *(self._js.publish(subject, message.body, headers=header) for message, header in pairs)
            )
            self._known += sum(bool(answer.duplicate) for answer in stored)
        self._messages += len(messages)

    async def _first(self, subject: str, message: Telling, headers: dict[str, str]) -> None:
        """The first message where no stream keeps them: the broker says so if nobody listens at all."""
        try:
            await self._client.request(subject, message.body, timeout=LISTENER_SECONDS, headers=headers)
        except nats.errors.NoRespondersError:
            raise UnfitSubject(
                f"No stream keeps {subject}, and nobody is subscribed to it: make one of both first."
            ) from None
        except nats.errors.TimeoutError:
            # Somebody listens, and has nothing to say to it.
            return

    async def _head(self) -> int:
        cursor = await self._connection.execute("SELECT coalesce(max(position), 0) FROM events")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


def _check_positions(wanted: Replay, head: int) -> None:
    """Raises UnfitPosition."""
    if wanted.after > head:
        raise UnfitPosition(
            f"Position {wanted.after} is beyond the end of the log, which is {head}: it comes from another "
            "service, or this one was restored from a backup. The consumer has to take a snapshot anew."
        )
    if wanted.until is not None and wanted.until < wanted.after:
        raise UnfitPosition(f"There is nothing after position {wanted.after} and up to {wanted.until}.")


async def stream_of(js: JetStreamContext, subject: str) -> str | None:
    """The stream that keeps what is published under a subject; None where none does."""
    try:
        return await js.find_stream_name_by_subject(subject)
    except NotFoundError:
        return None


def _parts(messages: Sequence[Telling]) -> Iterator[Sequence[Telling]]:
    for start in range(0, len(messages), TOGETHER):
        yield messages[start : start + TOGETHER]
