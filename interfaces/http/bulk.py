"""The route by which an admin registers many accounts: a line each, answered while the rest still comes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from uuid import uuid4

import msgspec
from litestar import Controller, post
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec.structs import replace

from application.bus import VISIBLE_WITHIN
from application.commands.register_user import RegisterUser
from application.messages import Context, Receipt
from domain.access import require_admin, require_more_than_reading
from domain.errors import Refusal, Unavailable
from domain.user import User
from domain.values import name_key
from interfaces.http.bodies import RegisterBody
from interfaces.http.bulk_answers import (
    MAX_LINE_BYTES,
    Cut,
    LineTooLong,
    Refused,
    Registered,
    TooManyLines,
    Whole,
)
from interfaces.http.caller import AnyRequest, bus_of, signed_in, waits
from interfaces.http.errors import BodyTooSlow, UnsupportedMediaType
from interfaces.http.feed import ASKED_AGAIN, NDJSON
from interfaces.http.idempotency import key_of
from interfaces.http.inflow import BodyTooLarge, HungUp, Inflow, LineCutter
from interfaces.http.reading import read_json
from interfaces.http.turns import Turns

AT_ONCE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Registrations of all bulks together that are carried out at once.

As many as the hasher has threads: a login waits there behind one hash of theirs and no more.
"""

LINGER = 2.0
"""Seconds for which a caller whose bulk has ended early may go on sending.

A connection that is closed on somebody who sends is reset, and what was said last may be lost with it.
"""

MOST = 8
"""Bulks at once; each holds a few megabytes."""

EMPTY_FOR_EACH = 10
"""So many lines may be sent for each that may be an account: the rest are empty."""
BREATH = 256
"""Empty lines after which others get their turn."""

log = logging.getLogger("usersd.http")


class Intake:
    """What all bulks of a process share: how much each may send, and their turns."""

    def __init__(self, *, max_lines: int, max_bytes: int, leaving: asyncio.Event | None) -> None:
        self.max_lines = max_lines
        self.max_bytes = max_bytes
        self.leaving = leaving or asyncio.Event()
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.open = 0


class Bulk(Controller):
    """Many at once."""

    path = "/users"

    @post(
        "/bulk",
        status_code=200,
        request_max_body_size=None,
        opt={
            "command": RegisterUser,
            "lines": "RegistrationLines",
            "lines_as": NDJSON,
            "idempotent_lines": True,
            "answer": (200, "RegistrationResults"),
            "media_type": NDJSON,
            "refuses": (400, 408, 413, 415),
        },
    )
    async def bulk(self, request: AnyRequest) -> ASGIApp:
        """Register many accounts, for admins: a line of JSON each, in either form of `POST /users`.

        Each line is answered by a line, in their order, while the rest still comes: `status` 201 with `id`
        and `version`, or the status and the words of a refusal. Empty lines are counted and not answered. One
        account's refusal is nothing to the others; of lines that share a name the first has it. Read the
        answer while sending: one that nobody reads is dropped. The last line says whether it is `complete`;
        where it is not, what follows the lines that are answered was not carried out. With an Idempotency-Key
        the key and the number of a line make that line repeatable: a bulk that broke off can be sent again as
        a whole, nobody is registered twice, and the ids are the same.
        """
        context = await signed_in(request)
        require_admin(context.actor)
        require_more_than_reading(context.actor)
        media_type = request.headers.get("content-type", "").lower()
        if "ndjson" not in media_type and "jsonl" not in media_type:
            raise UnsupportedMediaType(f"The body must be sent as {NDJSON}.")
        intake: Intake = request.app.state["bulk"]
        if (request.content_length or 0) > intake.max_bytes:
            raise BodyTooLarge
        if intake.leaving.is_set():
            raise _stopping()
        if intake.open >= MOST:
            raise Unavailable("Too many bulks are under way; one of them has to end first.", retry_after=5)
        return _Conversation(request, context, key_of(request), intake)


class _Conversation:
    """One bulk: lines are read, carried out side by side and answered in order, all at the same time."""

    def __init__(self, request: AnyRequest, context: Context, key: str | None, intake: Intake) -> None:
        self._request = request
        self._context = context
        self._key = key
        self._intake = intake
        self._bus = bus_of(request)
        self._believed = monotonic()
        self._turns = Turns()
        self._ahead = asyncio.Semaphore(2 * AT_ONCE)
        # Answers that nobody reads yet hold up no line: many clients send all before they read.
        self._answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        self._lines = self._created = self._position = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", NDJSON.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        within = self._request.app.state["body_timeout"]
        inflow = Inflow(receive, most=self._intake.max_bytes, within=within)
        self._intake.open += 1
        beside = [asyncio.create_task(inflow.run()), asyncio.create_task(self._until_leaving(inflow))]
        reading = asyncio.create_task(self._read(inflow))
        try:
            while (answer := await self._answers.get()) is not None:
                await send({"type": "http.response.body", "body": await answer, "more_body": True})
            ended = await reading
            last = msgspec.json.encode(await self._last(ended)) + b"\n"
            await send({"type": "http.response.body", "body": last, "more_body": True})
            if ended is not None and not isinstance(ended, BodyTooSlow):
                await _linger(inflow, ended)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._intake.open -= 1
            for task in (*beside, reading):
                task.cancel()

    async def _until_leaving(self, inflow: Inflow) -> None:
        await self._intake.leaving.wait()
        inflow.end(_stopping())

    async def _read(self, inflow: Inflow) -> Refusal | None:
        """Begin with each line as soon as there is room; why the last one was the last, if not the end."""
        try:
            async for number, line in self._numbered(inflow):
                await self._ahead.acquire()
                inflow.check()
                await self._believe_again()
                self._answers.put_nowait(asyncio.create_task(self._answer(number, line)))
        except Refusal as refusal:
            return refusal
        finally:
            self._answers.put_nowait(None)
        return None

    async def _numbered(self, inflow: Inflow) -> AsyncIterator[tuple[int, bytes | None]]:
        """Every line that is not empty, with its number from 1 on. Raises TooManyLines."""
        cutter = LineCutter(MAX_LINE_BYTES)
        number = found = 0
        async for raw in _lines(inflow, cutter):
            number += 1
            line = None if raw is None else raw.strip(b" \t\r")
            if line == b"":
                if number > EMPTY_FOR_EACH * self._intake.max_lines:
                    raise TooManyLines
                if number % BREATH == 0:
                    # Nothing is waited for between lines that lie in memory: others want their turn.
                    await asyncio.sleep(0)
                continue
            found += 1
            if found > self._intake.max_lines:
                raise TooManyLines
            yield number, line

    async def _believe_again(self) -> None:
        """A bulk may take longer than a right lasts. Raises Unauthenticated, Forbidden."""
        if monotonic() - self._believed > ASKED_AGAIN:
            actor = (await signed_in(self._request)).actor
            require_admin(actor)
            self._context = replace(self._context, actor=actor)
            self._believed = monotonic()

    async def _answer(self, number: int, line: bytes | None) -> bytes:
        answer: Registered | Refused
        try:
            if line is None:
                raise LineTooLong
            command = self._wanted(line)
            account = command.account
            names = (f"email {name_key(account.email)}", f"username {name_key(account.username or '')}")
            # Of two lines with one name the first has it, as if they came one after the other.
            async with self._turns.of(names[: 2 if account.username else 1]), self._intake.turns:
                receipt = await self._register(number, line, command)
            answer = Registered(
                line=number,
                status=receipt.replayed or 201,
                id=receipt.user_id,
                version=receipt.version,
                replayed=receipt.replayed is not None,
            )
            self._created += 1
            self._position = max(self._position, receipt.position)
        except Refusal as refusal:
            answer = Refused.by(refusal, line=number)
        except Exception as error:
            request_id = self._context.request_id
            log.exception("unhandled %s in line %d of request %s", type(error).__name__, number, request_id)
            answer = Refused.by_a_fault(number, request_id)
        finally:
            self._lines += 1
            self._ahead.release()
        return msgspec.json.encode(answer) + b"\n"

    def _wanted(self, line: bytes) -> RegisterUser:
        """What a line asks for. Raises Invalid."""
        ports = self._bus.ports
        wanted = read_json(line, RegisterBody, lambda given: given.faults(ports.rules.secret_allowed))
        return RegisterUser(
            account=wanted.account(self._context.actor, ports.clock.now()),
            user=User(id=uuid4()),
            secret=wanted.credentials.secret,
        )

    async def _register(self, number: int, line: bytes, command: RegisterUser) -> Receipt:
        repeat = None
        if self._key is not None:
            # No key holds a line feed: that of a line is never that of a request.
            asked = (b"POST", b"/users/bulk", line)
            actor = self._context.actor.id
            repeat = self._bus.ports.repeats.mark(actor, f"{self._key}\n{number}", asked, 201)
        at = command.account.at
        context = replace(self._context, at=at, command_id=uuid4(), repeat=repeat)
        return await self._bus.dispatch(command, context, wait=False)

    async def _last(self, ended: Refusal | None) -> Whole | Cut:
        if self._created and waits(self._request) and not isinstance(ended, HungUp):
            await self._bus.ports.visibility.wait(self._position, VISIBLE_WITHIN)
        refused = self._lines - self._created
        whole = Whole(lines=self._lines, created=self._created, refused=refused, position=self._position)
        return whole if ended is None else Cut.by(ended, whole)


async def _lines(inflow: Inflow, cutter: LineCutter) -> AsyncIterator[bytes | None]:
    async for piece in inflow.pieces():
        for line in cutter.cut(piece):
            yield line
    for line in cutter.rest():
        yield line


async def _linger(inflow: Inflow, ended: Refusal) -> None:
    inflow.end(ended)
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            await inflow.over.wait()


def _stopping() -> Unavailable:
    return Unavailable("This process is being stopped; send what is not answered again.")
