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

from infrastructure.nats.credentials import Access, BadCredentials
from infrastructure.renewed import Renewed, UnfitFiles

RECONNECT_PAUSE = 0.5
DRAIN_SECONDS = 5
PENDING_BYTES = 256 * 1024 * 1024
"""Never reached by those who bound what they have in flight. Beyond it the client waits inside a publish,
where it swallows a cancellation."""

log = logging.getLogger("usersd.nats")


OLDEST_SERVER = (2, 10)
"""The oldest release that is supported."""

OPEN = Access()
"""Nothing is shown but what stands in the URL."""


class BrokerUnreachable(Exception):
    """No connection to NATS came about in time."""


async def connect(
    url: str,
    *,
    name: str,
    within: float = 4.0,
    access: Access = OPEN,
    on_lost: Callable[[], None] = lambda: None,
) -> Client:
    """Connect to one of the servers of a comma-separated URL; later losses are mended without end.

    User and password, or a token, stand in the URL, percent-encoded where needed; what else there is to
    show stands in `access`. `on_lost` is called whenever an established connection is lost. Raises
    BrokerUnreachable.
    """
    servers, login = _parse(url)
    needs_tls = access.needs_tls or any(server.startswith("tls:") for server in servers)
    try:
        client = _Client(access, needs_tls=needs_tls)
    except BadCredentials as error:
        raise BrokerUnreachable(f"no NATS at {where(url)} ({error})") from None
    except UnfitFiles as error:
        words = f"the certificates for NATS cannot be used: {error}"
        raise BrokerUnreachable(f"no NATS at {where(url)} ({words})") from None
    news = _News(on_lost)
    try:
        async with asyncio.timeout(within):
            await client.connect(
                servers,
                name=name,
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
        raise BrokerUnreachable(f"no NATS at {where(url)} ({_words(reason)})") from None
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


class _Client(Client):
    """The library's client, which shows what nkeys and creds take without a library for them, and which
    tells nobody anything in clear where TLS was asked for."""

    def __init__(self, access: Access, *, needs_tls: bool) -> None:
        super().__init__()
        # Damaged credentials are told at once; good ones are read anew for every connection.
        access.proof()
        self._proof = access.proof
        self._needs_tls = needs_tls
        self._tls: Renewed[ssl.SSLContext] | None = None
        if access.needs_tls:
            files = (access.ca_certs, access.client_cert, access.client_key)
            self._tls = Renewed("NATS", files, access.tls)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """Asked for by each new connection that has TLS."""
        context: ssl.SSLContext = self._tls.latest() if self._tls else super().ssl_context
        return context

    def _connect_command(self) -> bytes:
        if self._needs_tls and not self._server_info.get("tls_required"):
            raise nats.errors.Error("TLS was asked for, and the server does not offer it")
        command: bytes = super()._connect_command()
        try:
            proof = self._proof() if "nonce" in self._server_info else None
        except BadCredentials as error:
            # Another kind of exception would end the library's attempts to come back.
            raise nats.errors.Error(str(error)) from None
        if proof is None:
            return command
        verb, _, options = command.partition(b" ")
        shown = {"jwt": proof.jwt} if proof.jwt is not None else {"nkey": proof.public}
        signed = msgspec.json.decode(options) | shown | {"sig": proof.sign(self._server_info["nonce"])}
        return verb + b" " + msgspec.json.encode(signed) + b"\r\n"


def _words(reason: BaseException) -> str:
    """What a refusal is called; the words of servers and of TLS hold no credential and tell most."""
    if isinstance(reason, ssl.SSLError):
        return f"TLS: {getattr(reason, 'verify_message', '') or reason.reason or type(reason).__name__}"
    return str(reason) if type(reason) is nats.errors.Error else type(reason).__name__


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
