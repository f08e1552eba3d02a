"""The one way in: finds the handler, decides again after a race, waits until a write can be read."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from application.messages import Command, Context, Query, Receipt
from application.ports import Ports
from domain.errors import Refusal, Unavailable, VersionConflict

R = TypeVar("R")
Handler = Callable[[Any, Context, Ports], Awaitable[Any]]
Observer = Callable[[str, float, str], None]

PATIENCE = 5.0
"""Seconds for which a command that keeps losing races is decided anew."""

VISIBLE_WITHIN = 2.0
"""Seconds for which a write waits for the read model."""

log = logging.getLogger("usersd.bus")


class Bus:
    """Dispatches commands and asks queries; `observe(name, seconds, outcome)` hears of each."""

    def __init__(
        self,
        ports: Ports,
        commands: Mapping[type[Command[Any]], Handler],
        queries: Mapping[type[Query[Any]], Handler],
        observe: Observer = lambda name, seconds, outcome: None,
    ) -> None:
        self.ports = ports
        self._commands = commands
        self._queries = queries
        self._observe = observe

    async def dispatch(self, command: Command[R], context: Context, *, wait: bool = True) -> R:
        """Carry out a command. A lost race is decided anew on the new state, for a bounded time."""
        handler = self._commands[type(command)]
        result = await self._observed(command, self._once(handler, command, context))
        if wait and isinstance(result, Receipt):
            visible = await self.ports.visibility.wait(result.position, VISIBLE_WITHIN)
            return cast(R, replace(result, visible=visible))
        return cast(R, result)

    async def ask(self, query: Query[R], context: Context) -> R:
        """Answer a question."""
        return cast(R, await self._observed(query, self._queries[type(query)](query, context, self.ports)))

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

    async def _observed(self, message: object, work: Awaitable[Any]) -> Any:
        name, started, outcome = type(message).__name__, time.perf_counter(), "ok"
        try:
            return await work
        except Refusal as refusal:
            outcome = refusal.code
            raise
        except Exception:
            outcome = "error"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._observe(name, seconds, outcome)
            log.debug("%s: %s in %.1f ms", name, outcome, seconds * 1000)
