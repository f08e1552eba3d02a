"""Carries calls out: finds out who asks, has them answered, and tells what came of it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import aclosing, suppress
from random import getrandbits
from time import perf_counter
from typing import Any, Protocol
from uuid import UUID

import grpc
import msgspec
from google.protobuf.message import DecodeError
from grpc import StatusCode

from application.bus import Bus
from application.clients import Scope
from application.messages import Context
from domain.access import Actor, require_scope
from domain.errors import Refusal, Unavailable
from interfaces.grpc.access import Access
from interfaces.grpc.errors import DoesNotRead, invalid, refuse, status_of
from interfaces.grpc.methods import Unary
from interfaces.request_id import REQUEST_ID

RpcContext = grpc.aio.ServicerContext[Any, Any]
Still = Callable[[], Awaitable[Hashable]]
Answers = Callable[[Any, Still], AsyncGenerator[Any, None]]

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

LAST_MOMENT = 1.0
"""Seconds that streams get to say why they end; it waits behind what their caller has not read."""

log = logging.getLogger("usersd.grpc")


class Observer(Protocol):
    """Hears of every call to one of our methods."""

    def began(self, traceparent: str) -> tuple[Any, str]:
        """A mark to end it with, and the traceparent under which it is carried out."""

    def ended(self, mark: Any, rpc: str, code: str, seconds: float) -> None: ...


Note = Callable[[str, str, float, str], None]
"""Takes a call for the access log: method, name of the status, seconds, request id."""


class Stopping(Unavailable):
    code = "stopping"
    message = "This server stops; go on with another, or in a moment."


class _Call(msgspec.Struct):
    """What is known of a call while it lasts."""

    rpc: str
    context: RpcContext
    metadata: dict[str, Any]
    request_id: str
    traceparent: str
    mark: Any
    started: float
    code: StatusCode = StatusCode.OK


class Calls:
    """Everything that all calls have in common.

    `write_within` are the seconds in which a caller has to make room for the next answer of a stream; None
    is for ever.
    """

    def __init__(
        self,
        bus: Bus,
        access: Access,
        observer: Observer,
        note: Note | None,
        *,
        write_within: float | None,
    ) -> None:
        self._write_within = write_within
        self._bus = bus
        self._access = access
        self._observer = observer
        self._note = note
        self._streams: set[asyncio.Task[Any]] = set()
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._stopping = False

    def unary(self, rpc: str, method: Unary, request_type: Any) -> Any:
        """The handler of a method with one answer; it reads and writes bytes, so that every fault is ours."""
        answer, scope, parse = method.answer, method.scope, request_type.FromString

        async def handle(sent: bytes, context: RpcContext) -> bytes:
            call = self._begin(rpc, context)
            self._in_flight += 1
            self._quiet.clear()
            try:
                asked = await self._admit(call, scope)
                made: bytes = (await answer(_parsed(parse, sent), asked, self._bus)).SerializeToString()
                return made
            except BaseException as fault:
                await self._fail(call, fault)
                raise
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._quiet.set()
                self._end(call)

        return grpc.unary_unary_rpc_method_handler(handle)

    def stream(self, rpc: str, answers: Answers, scope: Scope, request_type: Any) -> Any:
        """The handler of a method that answers with a stream, for as long as its caller may."""

        async def handle(sent: bytes, context: RpcContext) -> None:
            call = self._begin(rpc, context)

            async def still() -> Hashable:
                asked = await self._admit(call, scope)
                return self._access.name_of(context, asked.actor)

            with self._lasting():
                try:
                    await still()
                    # Closed at once: what is left to the collector of garbage would go on counting.
                    async with aclosing(answers(_parsed(request_type.FromString, sent), still)) as found:
                        async for made in found:
                            await self._write(context, made.SerializeToString())
                except _CallerLeft:
                    call.code = StatusCode.CANCELLED
                except BaseException as fault:
                    await self._fail(call, fault)
                    raise
                finally:
                    self._end(call)

        return grpc.unary_stream_rpc_method_handler(handle)

    def guarded(self, rpc: str, answers: Callable[[Any, RpcContext], AsyncGenerator[Any, None]]) -> Any:
        """A stream of somebody else's making, for every caller that is known."""

        async def handle(requests: Any, context: RpcContext) -> None:
            call = self._begin(rpc, context)
            with self._lasting():
                try:
                    await self._admit(call, None)
                    async with aclosing(answers(requests, context)) as found:
                        async for made in found:
                            await self._write(context, made)
                except _CallerLeft:
                    call.code = StatusCode.CANCELLED
                except BaseException as fault:
                    await self._fail(call, fault)
                    raise
                finally:
                    self._end(call)

        return handle

    async def drain(self, within: float) -> None:
        """Begin nothing more, end every stream with a status that says why, and finish what is in flight."""
        self._stopping = True
        for task in self._streams:
            task.cancel()
        if self._in_flight:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._quiet.wait()
        if self._streams:
            await asyncio.wait(set(self._streams), timeout=LAST_MOMENT)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def _lasting(self) -> _Lasting:
        return _Lasting(self._streams)

    def _begin(self, rpc: str, context: RpcContext) -> _Call:
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        request_id = metadata.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            # Tells calls apart; guards nothing, so it need not be hard to guess.
            request_id = f"{getrandbits(128):032x}"
        REQUEST_ID.set(request_id)
        sent = metadata.get("traceparent", "")
        mark, traceparent = self._observer.began(sent if _TRACEPARENT.fullmatch(sent) else "")
        return _Call(rpc, context, metadata, request_id, traceparent, mark, perf_counter())

    async def _admit(self, call: _Call, scope: Scope | None) -> Context:
        """The context of a call whose caller may make it."""
        if self._stopping:
            raise Stopping
        at = self._bus.ports.clock.now()
        actor: Actor = await self._access.caller(call.context, call.metadata, at)
        if scope is not None:
            require_scope(actor, scope)
        command_id = UUID(int=getrandbits(128), version=4)
        return Context(
            actor=actor,
            at=at,
            command_id=command_id,
            correlation_id=command_id,
            request_id=call.request_id,
            traceparent=call.traceparent,
        )

    async def _fail(self, call: _Call, fault: BaseException) -> None:
        """End a call that was not carried out with the status for it; others than refusals are our faults."""
        if isinstance(fault, asyncio.CancelledError):
            remaining: Any = call.context.time_remaining()
            if self._stopping and not call.context.cancelled():
                fault = Stopping()
            else:
                late = remaining is not None and remaining <= 0
                call.code = StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED
                return
        if isinstance(fault, Refusal):
            call.code = status_of(fault)
            await _in_a_moment(refuse(call.context, fault))
        if isinstance(fault, Exception):
            call.code = StatusCode.INTERNAL
            name = type(fault).__name__
            log.error("unhandled %s in request %s", name, call.request_id, exc_info=fault)
            words = f"Something went wrong on our side. Quote the request id {call.request_id}."
            await _in_a_moment(call.context.abort(call.code, words))

    async def _write(self, context: RpcContext, made: Any) -> None:
        try:
            async with asyncio.timeout(self._write_within):
                await context.write(made)
        except TimeoutError:
            raise DoesNotRead from None
        except Exception:
            # The library has no public name for it.
            raise _CallerLeft from None

    def _end(self, call: _Call) -> None:
        seconds, code = perf_counter() - call.started, call.code.name
        self._observer.ended(call.mark, call.rpc, code, seconds)
        if self._note is not None:
            self._note(call.rpc, code, seconds, call.request_id)


class _CallerLeft(Exception):
    """There is nobody to write to any more."""


async def _in_a_moment(ending: Awaitable[Any]) -> None:
    """End a call, and leave it to the library where the caller does not read even that."""
    try:
        async with asyncio.timeout(LAST_MOMENT):
            await ending
    except TimeoutError:
        # What the library ends quietly: the status is on its way.
        raise asyncio.CancelledError from None


class _Lasting:
    """Keeps the task of a stream where a stop finds it."""

    def __init__(self, streams: set[asyncio.Task[Any]]) -> None:
        self._streams = streams

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._streams.add(task)

    def __exit__(self, *_: object) -> None:
        self._streams.discard(self._task)


def _parsed(parse: Callable[[bytes], Any], sent: bytes) -> Any:
    try:
        return parse(sent)
    except DecodeError:
        raise invalid("", "The bytes are no message of this method.") from None
