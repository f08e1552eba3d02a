"""The one way in: finds the handler, decides again after a race, waits until a write can be read."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from msgspec.structs import replace

from application.messages import Command, Context, Query, Receipt
from application.ports import Ports
from domain.access import require_more_than_reading
from domain.errors import Refusal, Unavailable, VersionConflict

R = TypeVar("R")
Handler = Callable[[Any, Context, Ports], Awaitable[Any]]
Observer = Callable[[str, float, str], None]


class Span(Protocol):
    """A command or query as a trace shows it; `context` is what it is carried out in."""

    context: Context

    def end(self, outcome: str) -> None: ...


Trace = Callable[[str, Context], Span | None]

PATIENCE = 5.0
"""Seconds for which a command that keeps losing races is decided anew."""

VISIBLE_WITHIN = 2.0
"""Seconds for which a write waits for the read model."""

log = logging.getLogger("usersd.bus")


class Bus:
    """Dispatches commands and asks queries; `observe(name, seconds, outcome)` hears of each.

    The outcome is `ok`, the code of a refusal, `cancelled` or `error`. `trace(name, context)` begins a span.
    """

    def __init__(
        self,
        ports: Ports,
        commands: Mapping[type[Command[Any]], Handler],
        queries: Mapping[type[Query[Any]], Handler],
        observe: Observer = lambda name, seconds, outcome: None,
        trace: Trace | None = None,
    ) -> None:
        self.ports = ports
        self._commands = commands
        self._queries = queries
        self._observe = observe
        self._trace = trace

    async def dispatch(self, command: Command[R], context: Context, *, wait: bool = True) -> R:
        """Carry out a command. A lost race is decided anew on the new state, for a bounded time."""
        handler = self._commands[type(command)]
        require_more_than_reading(context.actor)
        result = await self._observed(command, context, lambda inner: self._once(handler, command, inner))
        if wait and isinstance(result, Receipt):
            visible = await self.ports.visibility.wait(result.position, VISIBLE_WITHIN)
            return cast(R, replace(result, visible=visible))
        return cast(R, result)

    async def ask(self, query: Query[R], context: Context) -> R:
        """Answer a question."""
        handler = self._queries[type(query)]
        return cast(R, await self._observed(query, context, lambda inner: handler(query, inner, self.ports)))

    async def _once(self, handler: Handler, command: Command[Any], context: Context) -> Any:
        """Where the caller may repeat the command: what the first one came to, whichever that was."""
        if context.repeat is None:
            return await self._decided(handler, command, context)
        if found := await self.ports.repeats.find(context.repeat, context.at):
            return found
        try:
            result = await self._decided(handler, command, context)
        except Unavailable:
            raise
        except Refusal:
            # What forbids it may be its own first time, which was on its way when we looked.
            if found := await self.ports.repeats.find(context.repeat, context.at):
                return found
            raise
        if isinstance(result, Receipt) and not result.stored:
            return await self.ports.repeats.find(context.repeat, context.at) or result
        return result

    async def _decided(self, handler: Handler, command: Command[Any], context: Context) -> Any:
        deadline = time.monotonic() + PATIENCE
        attempt = 0
        while True:
            try:
                return await handler(command, context, self.ports)
            except VersionConflict:
                if time.monotonic() > deadline:
                    raise
                attempt += 1
                await asyncio.sleep(random.uniform(0, min(0.002 * attempt, 0.05)))  # noqa: S311

    async def _observed(
        self, message: object, context: Context, carry_out: Callable[[Context], Awaitable[Any]]
    ) -> Any:
        name, started, outcome = type(message).__name__, time.perf_counter(), "ok"
        span = self._trace(name, context) if self._trace else None
        try:
            return await carry_out(span.context if span else context)
        except Refusal as refusal:
            outcome = refusal.code
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception:
            outcome = "error"
            raise
        finally:
            seconds = time.perf_counter() - started
            if span:
                span.end(outcome)
            self._observe(name, seconds, outcome)
            log.debug("%s: %s in %.1f ms", name, outcome, seconds * 1000)
