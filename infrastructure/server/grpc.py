"""The gRPC server: grpc.aio on this event loop, its sockets, its certificates and its limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc

from infrastructure.bootstrap import Service
from infrastructure.server.addresses import CannotListen, Place
from infrastructure.server.certificates import Material, TlsFiles, UnfitCertificate
from infrastructure.settings import Settings
from infrastructure.telemetry.rpcs import rpc_observer_of
from interfaces.grpc.access import Access
from interfaces.grpc.calls import LAST_MOMENT, Calls, Note
from interfaces.grpc.health import Health
from interfaces.grpc.services import NAMES, handlers
from interfaces.grpc.watching import Watching

MOST_CALLS = 1_000
"""Calls at once, streams included; further ones are told RESOURCE_EXHAUSTED."""

LARGEST_REQUEST = 64 * 1024
LARGEST_METADATA = 16 * 1024
_OPTIONS = (
    # Otherwise a second process could listen on the same port, and get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_REQUEST),
    ("grpc.max_metadata_size", LARGEST_METADATA),
    ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A watcher that is gone without a word is found out, and a quiet one may say that it is there.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

log = logging.getLogger("usersd.grpc")


class GrpcServer:
    """Serves gRPC until it is stopped."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        place: Place,
        readiness: Callable[[], Awaitable[Mapping[str, str]]],
        note: Note | None = None,
    ) -> None:
        self._place = place
        self._settings = settings
        self._certificates: _Certificates | None = None
        access = Access(service.bus.ports.clients, settings.grpc_client_subjects)
        observer = rpc_observer_of(service.metrics.rpcs, service.tracing)
        self._calls = Calls(
            service.bus,
            access,
            observer,
            note,
            # Zero is no limit.
            write_within=settings.http_write_timeout.total_seconds() or None,
        )
        service.metrics.rpcs.streams = lambda: self._calls.streams
        watching = Watching(service.changes, "none" if settings.events_pii == "none" else "full")
        self._health = Health(NAMES, readiness)
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        self._server.add_generic_rpc_handlers(tuple(handlers(self._calls, watching, self._health)))

    @property
    def expires_at(self) -> float | None:
        """When the certificate that is shown now expires, in seconds since 1970; None without TLS."""
        return self._certificates.in_use.expires_at.timestamp() if self._certificates else None

    def announce_end(self) -> None:
        """Tell who asks for health that nothing is served here any more; all calls are still served."""
        self._health.stop()

    def add(self, handler: Any) -> None:
        """Serve one service more, without any of what is asked of callers of the others."""
        self._server.add_generic_rpc_handlers((handler,))

    async def start(self) -> str:
        """Begin to serve; the address (host:port) of the first port.

        Raises CannotListen, UnfitCertificate.
        """
        certificates = self._certificates = _Certificates.of(self._settings)
        host = f"[{self._place.host}]" if ":" in self._place.host else self._place.host
        for port in self._place.ports:
            address = f"{host}:{port}"
            try:
                if certificates is None:
                    self._server.add_insecure_port(address)
                else:
                    self._server.add_secure_port(address, certificates.credentials())
            except RuntimeError:
                raise CannotListen(f"Cannot listen on {address} for gRPC: the address is taken.") from None
        await self._server.start()
        return f"{host}:{self._place.ports[0]}"

    async def stop(self, within: float) -> None:
        """Refuse new calls and finish those in flight; what takes longer than `within` seconds is cut."""
        self._health.stop()
        ending = asyncio.create_task(self._server.stop(within + LAST_MOMENT))
        await self._calls.drain(within)
        # Whoever is still connected has nothing to wait for.
        await self._server.stop(None)
        await ending


class _Certificates:
    """Key and certificates as they lie in the files; read anew when one of the files has changed."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = files.stamp()
        self._told = ""
        self.in_use = files.read()
        self._now = _configuration(self.in_use)

    @classmethod
    def of(cls, settings: Settings) -> _Certificates | None:
        """None where there is no TLS. Raises UnfitCertificate."""
        files = TlsFiles.of(settings, "grpc")
        return cls(files) if files else None

    def credentials(self) -> Any:
        """What a secure port is opened with; each handshake asks for the certificates of the moment."""
        asks = self.in_use.authorities is not None
        return grpc.dynamic_ssl_server_credentials(self._now, self._latest, asks)

    def _latest(self) -> Any:
        stamp = self._files.stamp()
        if stamp == self._stamp:
            return self._now
        try:
            material = self._files.read()
            self._files.refuse_unless_valid(material, datetime.now(UTC))
        except UnfitCertificate as error:
            # Tried again at the next handshake: key and certificate are seldom written at the same moment.
            if str(error) != self._told:
                log.error("the certificate of gRPC stays as it was: %s", error)
                self._told = str(error)
            return self._now
        self.in_use, self._stamp, self._told = material, stamp, ""
        self._now = _configuration(material)
        log.info("the certificates of gRPC have changed; the new ones are used")
        return self._now


def _configuration(material: Material) -> Any:
    pair = (material.key, material.certificate)
    return grpc.ssl_server_certificate_configuration([pair], material.authorities)
