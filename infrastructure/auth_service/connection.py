"""One channel to another service over gRPC: it reconnects by itself, and no call on it waits for ever."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
import msgspec

from domain.errors import Refusal, Unavailable

R = TypeVar("R")

RETRY_AFTER = 2
"""Seconds after which a caller may try again while the other service is away."""

LARGEST_ANSWER = 1024 * 1024

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", LARGEST_ANSWER),
    # A proxy of the environment is for what leaves the platform.
    ("grpc.enable_http_proxy", 0),
)

log = logging.getLogger("usersd.auth_service")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is, what it is shown, and for how long a call to it may take.

    Naming authorities turns TLS on.
    """

    address: str
    timeout: timedelta
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Connection:
    """Calls one service. `name` is what log lines call it."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._timeout = target.timeout.total_seconds()
        self.channel = _channel(target)
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


def _channel(target: Target) -> grpc.aio.Channel:
    if target.authorities is None:
        return grpc.aio.insecure_channel(target.address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        target.authorities.read_bytes(),
        target.key.read_bytes() if target.key else None,
        target.certificate.read_bytes() if target.certificate else None,
    )
    return grpc.aio.secure_channel(target.address, credentials, options=_OPTIONS)
