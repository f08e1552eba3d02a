"""The standard health service (grpc.health.v1): for everybody, and as true as what HTTP says at /readyz."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

NAME: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
FRESH_FOR = 1.0
"""Seconds for which an answer is given again, however many ask."""

LOOKS_EVERY = 2.0
MOST_WATCHERS = 100

Readiness = Callable[[], Awaitable[Mapping[str, str]]]

log = logging.getLogger("usersd.grpc")


class Health:
    """Answers for the server (the empty name) and each of its services, which stand or fall together."""

    def __init__(self, services: Collection[str], readiness: Readiness) -> None:
        self._services = {"", NAME, *services}
        self._readiness = readiness
        self._looked = 0.0
        self._ready = False
        self._looking = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._watchers = 0

    def stop(self) -> None:
        """Say from now on that nothing is served, and let those go that watch."""
        self._stopping.set()

    def handler(self) -> Any:
        """Both methods, for a server."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._watch, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
                ),
            },
        )

    async def _check(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(StatusCode.NOT_FOUND, "There is no such service here.")
        return await self._answer()

    async def _watch(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[HealthCheckResponse]:
        if self._watchers >= MOST_WATCHERS:
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, "Too many watch already.")
        self._watchers += 1
        last = None
        try:
            while True:
                stopping = self._stopping.is_set()
                if request.service in self._services:
                    answer = await self._answer()
                else:
                    answer = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
                if answer != last:
                    yield answer
                    last = answer
                if stopping:
                    return
                await self._pause()
        finally:
            self._watchers -= 1

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOKS_EVERY):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _answer(self) -> HealthCheckResponse:
        serving = not self._stopping.is_set() and await self._is_ready()
        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=status)

    async def _is_ready(self) -> bool:
        async with self._looking:
            if time.monotonic() - self._looked > FRESH_FOR:
                self._ready = all(state == "ok" for state in (await self._readiness()).values())
                self._looked = time.monotonic()
            return self._ready
