"""Connections to NATS that start within a bound, come back for ever, and never log a credential."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import nats.errors
from nats.aio.client import Client

RECONNECT_PAUSE = 0.5
DRAIN_SECONDS = 5
PENDING_BYTES = 256 * 1024 * 1024
"""Never reached by those who bound what they have in flight. Beyond it the client waits inside a publish,
where it swallows a cancellation."""

log = logging.getLogger("usersd.nats")


class BrokerUnreachable(Exception):
    """No connection to NATS came about in time."""


OLDEST_SERVER = (2, 10)
"""The oldest release that is supported."""


async def connect(
    url: str,
    *,
    name: str,
    within: float = 4.0,
    tls: ssl.SSLContext | None = None,
    on_lost: Callable[[], None] = lambda: None,
) -> Client:
    """Connect to one of the servers of a comma-separated URL; later losses are mended without end.

    User and password, or a token, stand in the URL, percent-encoded where needed. `on_lost` is called
    whenever an established connection is lost. Raises BrokerUnreachable.
    """
    servers, login = _parse(url)
    client = Client()
    news = _News(on_lost)
    try:
        async with asyncio.timeout(within):
            await client.connect(
                servers,
                name=name,
                tls=tls,
                error_cb=news.error,
                disconnected_cb=news.lost,
                reconnected_cb=news.found,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_PAUSE,  # type: ignore[arg-type]  # a float is slept as well
                drain_timeout=DRAIN_SECONDS,
                pending_size=PENDING_BYTES,
                user=login.user,
                password=login.password,
                token=login.token,
            )
    except (TimeoutError, OSError, nats.errors.Error) as error:
        reason = client.last_error or error
        await close(client)
        # The server's own words, such as those on a wrong password, tell most; they hold no credential.
        words = str(reason) if type(reason) is nats.errors.Error else type(reason).__name__
        raise BrokerUnreachable(f"no NATS at {where(url)} ({words})") from None
    except BaseException:
        await close(client)
        raise
    server = client.connected_server_version
    if (server.major, server.minor) < OLDEST_SERVER:
        await close(client)
        raise BrokerUnreachable(f"the NATS at {where(url)} is {server.major}.{server.minor}; 2.10 is needed")
    news.established = True
    return client


async def close(client: Client) -> None:
    """Close without waiting for a server that does not answer."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(2.0):
            await client.close()


def where(url: str) -> str:
    """The addresses of a URL, without its credentials."""
    return ",".join(f"{part.hostname}:{part.port or 4222}" for part in _parts(url))


class _Login(msgspec.Struct, frozen=True):
    user: str | None = None
    password: str | None = None
    token: str | None = None


class _News:
    """Says each kind of trouble once per outage, in one line; the client would log a traceback per try."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self.established = False
        self._on_lost = on_lost
        self._said: set[str] = set()

    async def error(self, error: Exception) -> None:
        kind = type(error).__name__
        if self.established and kind not in self._said:
            self._said.add(kind)
            log.warning("NATS: %s", kind)

    async def lost(self) -> None:
        if self.established:
            self._on_lost()

    async def found(self) -> None:
        self._said.clear()
        log.info("NATS: connected again")


def _parts(url: str) -> list[SplitResult]:
    return [urlsplit(one if "://" in one else f"nats://{one}") for one in url.replace(" ", "").split(",")]


def _parse(url: str) -> tuple[list[str], _Login]:
    """Addresses apart from credentials: the client takes those of a URL undecoded, and gives none to the
    servers of a cluster that it discovers later."""
    parts = _parts(url)
    servers = [f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts]
    known = next((part for part in parts if part.username), None)
    if known is None or known.username is None:
        return servers, _Login()
    if known.password is None:
        return servers, _Login(token=unquote(known.username))
    return servers, _Login(user=unquote(known.username), password=unquote(known.password))
