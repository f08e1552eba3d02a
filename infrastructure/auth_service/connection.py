"""Calls to another service over gRPC: none waits for ever, and every fault is one of ours."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import grpc

from domain.errors import Refusal, Unavailable
from infrastructure.auth_service.channel import Channel, Target

R = TypeVar("R")

RETRY_AFTER = 2
"""Seconds after which a caller may try again while the other service is away."""

log = logging.getLogger("usersd.auth_service")


class Connection:
    """Calls one service. `name` is what log lines call it."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._timeout = target.timeout.total_seconds()
        # Stubs ask for the class of the library.
        self.channel: Any = Channel(name, target)
        self._complaint = ""

    async def call(
        self,
        method: Any,
        request: object,
        refusals: Mapping[grpc.StatusCode, type[Refusal]],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """The answer. Raises what `refusals` has for its status, else Unavailable."""
        try:
            answer = await method(request, timeout=self._timeout, metadata=metadata or None)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if refusal := refusals.get(code):
                raise refusal from None
            self._complain(code.name)
            raise Unavailable(retry_after=RETRY_AFTER) from None
        except grpc.aio.BaseError as error:
            # The library would not even send it, whatever it says: a key with a line break in it, perhaps.
            self._complain(type(error).__name__)
            raise Unavailable(retry_after=RETRY_AFTER) from None
        if answer is None:
            # The library's word for bytes that are no message of this type: something else answers there.
            self._complain("UNREADABLE")
            raise Unavailable(retry_after=RETRY_AFTER)
        if self._complaint:
            log.info("the %s answers again", self.name)
            self._complaint = ""
        return answer

    def _complain(self, code: str) -> None:
        # Once per trouble, not once per call; what the other side says may name people.
        if code != self._complaint:
            self._complaint = code
            log.error(
                "the %s does not answer as it should (%s); callers are told to try again", self.name, code
            )

    async def close(self) -> None:
        await self.channel.close()
