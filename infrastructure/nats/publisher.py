"""Publishes chains of messages to the stream at full speed, without waiting between them.

Every message names the sequence that must be the stream's last: the fence against a relay that was
believed dead. Where it may, it also names the message id that must be last: then the stream takes a
message only directly behind its predecessor, whoever else writes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from infrastructure.nats.stream import STREAM
from interfaces.events.telling import Telling

ANSWER_SECONDS = 4.0


class BrokerLost(Exception):
    """The connection went away, or no answer came, and nobody knows what the stream has taken."""


class Refused(Exception):
    """The stream did not take a message as it stood in its chain."""


class Problem(msgspec.Struct, frozen=True):
    """Why the stream did not take a message; `err_code` is JetStream's own."""

    code: int
    err_code: int = 0
    description: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What JetStream answers to a publish; `seq` is of a message stored before where `duplicate`."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: Problem | None = None


_NOBODY = Answer(error=Problem(503, description="no stream takes the subject"))
_answer = msgspec.json.Decoder(Answer).decode

Answering = asyncio.Future[Answer | None]


class _Waiting:
    """A chain on its way, and how many answers are still due."""

    __slots__ = ("answering", "due", "length")

    def __init__(self, length: int) -> None:
        self.answering: Answering = asyncio.get_running_loop().create_future()
        self.length = length
        self.due = length

    def heard(self, answer: Answer) -> bool:
        """Whether the chain's fate is known: every answer is there, or one that spoils it."""
        self.due -= 1
        spoilt = answer.error is not None or (answer.duplicate and self.length > 1)
        if spoilt or self.due == 0:
            self.settle(answer)
        return self.answering.done()

    def settle(self, answer: Answer | None) -> None:
        if not self.answering.done():
            self.answering.set_result(answer)


class Publisher:
    """Sends chains over one connection and hears what became of them.

    `linked` says that the stream is not replicated, so that messages may name the one before them. In a
    replicated stream they must not: its servers (2.15) take such a refusal for a failed write, and stop
    the stream for good. There a message of somebody else between ours can displace one of them, which is
    found and made good when the stream is read again.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Waiting] = {}
        self.is_lost = False

    async def start(self, client: Client, *, linked: bool) -> None:
        self._client = client
        self._linked = linked
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._heard)

    def lost(self) -> None:
        """Nobody need wait any more: answers to what was sent may never come."""
        self.is_lost = True
        for waiting in self._waiting.values():
            waiting.settle(None)
        self._waiting.clear()

    async def send(self, chain: Sequence[Telling], sequence: int, behind: str | None) -> Answering:
        """Send a chain to stand behind `sequence`; `behind` is the id of the message sent before, if that
        one is not acknowledged yet. Answers with what the stream says to its last message, or to the
        first that it does not store."""
        ready: list[tuple[Telling, dict[str, str]]] = []
        for index, message in enumerate(chain):
            headers = {"Nats-Expected-Stream": STREAM, "Nats-Expected-Last-Sequence": str(sequence + index)}
            if behind is not None and self._linked:
                headers["Nats-Expected-Last-Msg-Id"] = behind
            behind = message.message_id
            ready.append((message, headers))
        return await self._send(ready)

    async def send_alone(self, message: Telling, stream: str, sequence: int) -> Answering:
        """Send a message to a stream in which `sequence` must be the last of the message's own subject."""
        headers = {"Nats-Expected-Stream": stream, "Nats-Expected-Last-Subject-Sequence": str(sequence)}
        return await self._send([(message, headers)])

    async def _send(self, ready: Sequence[tuple[Telling, dict[str, str]]]) -> Answering:
        number = str(next(self._numbers))
        waiting = _Waiting(len(ready))
        if self.is_lost:
            waiting.settle(None)
            return waiting.answering
        self._waiting[number] = waiting
        inbox = f"{self._inbox}.{number}"
        for message, fence in ready:
            headers = {**message.headers, "Nats-Msg-Id": message.message_id, **fence}
            await self._client.publish(message.subject, message.body, inbox, headers)
        # Gives the client's writer its turn before the next page is read.
        await asyncio.sleep(0)
        return waiting.answering

    async def _heard(self, message: Msg) -> None:
        number = message.subject.rpartition(".")[2]
        waiting = self._waiting.get(number)
        if waiting and waiting.heard(_answer(message.data) if message.data else _NOBODY):
            del self._waiting[number]


async def check(answering: Answering, expected: int, *, alone: bool) -> bool:
    """Whether a chain was stored up to the expected sequence.

    False only for a message sent alone that the stream knows already: it was stored before, and within
    the window of duplicates it is not stored again. Raises BrokerLost or Refused.
    """
    answer = await heard(answering)
    if answer.error is not None:
        raise Refused(words(answer.error))
    if answer.duplicate and alone:
        return False
    if answer.duplicate or answer.seq != expected:
        raise Refused(f"the stream answered sequence {answer.seq} where {expected} was due")
    return True


async def heard(answering: Answering) -> Answer:
    """What the stream says. Raises BrokerLost."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await asyncio.shield(answering)
    except TimeoutError:
        raise BrokerLost("no acknowledgement came") from None
    if answer is None:
        raise BrokerLost("the connection was lost")
    return answer


def words(problem: Problem) -> str:
    """The stream's own words, and its code for them."""
    return f"{problem.description} ({problem.err_code or problem.code})"
