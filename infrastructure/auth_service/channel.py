"""A channel to another service over gRPC: it reconnects by itself, by the certificates of the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec

from infrastructure.renewed import Renewed, UnfitFiles, words_of
from infrastructure.settings.client_files import unfit_authorities, unfit_pair

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


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is, what it is shown, and for how long a call to it may take.

    Naming authorities turns TLS on.
    """

    address: str
    timeout: timedelta
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Channel:
    """What stubs are made with. Each call goes by the certificates that lie in the files now.

    The library knows no way to change those of a channel: one is made anew when they have changed, and the
    one before ends when the calls on it have.
    """

    def __init__(self, name: str, target: Target) -> None:
        self._target = target
        files = (target.authorities, target.certificate, target.key)
        self._renewed = Renewed(f"the {name}", files, lambda: _channel(target))
        self._now = self._renewed.latest()
        self._ending: set[asyncio.Task[None]] = set()

    def unary_unary(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._call("unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._call("unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._call("stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._call("stream_stream", arguments, named)

    async def close(self) -> None:
        await self._now.close()
        await asyncio.gather(*self._ending)

    def _call(self, kind: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Callable[..., Any]:
        made_for: grpc.aio.Channel | None = None
        made: Callable[..., Any]

        def call(*request: Any, **options: Any) -> Any:
            nonlocal made_for, made
            channel = self._latest()
            if channel is not made_for:
                made_for, made = channel, getattr(channel, kind)(*arguments, **named)
            return made(*request, **options)

        return call

    def _latest(self) -> grpc.aio.Channel:
        latest = self._renewed.latest()
        if latest is not self._now:
            before, self._now = self._now, latest
            ending = asyncio.create_task(before.close(self._target.timeout.total_seconds()))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        return latest


def _channel(target: Target) -> grpc.aio.Channel:
    if target.authorities is None:
        return grpc.aio.insecure_channel(target.address, options=_OPTIONS)
    # The library says nothing of files that it cannot use, but that nobody answers.
    if fault := unfit_authorities(target.authorities):
        raise UnfitFiles(fault)
    if target.certificate and target.key and (fault := unfit_pair(target.certificate, target.key)):
        raise UnfitFiles(fault)
    try:
        credentials = grpc.ssl_channel_credentials(
            target.authorities.read_bytes(),
            target.key.read_bytes() if target.key else None,
            target.certificate.read_bytes() if target.certificate else None,
        )
    except OSError as error:
        raise UnfitFiles(words_of(error)) from None
    return grpc.aio.secure_channel(target.address, credentials, options=_OPTIONS)
