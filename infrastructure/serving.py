"""Runs one role of the service until a signal ends it: its server, and what it does in the background."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import uvloop
from litestar.handlers import HTTPRouteHandler

from infrastructure.bootstrap import Service, open_service
from infrastructure.erasure.reapply import reapply_at_start
from infrastructure.event_store.appender import AppenderDied
from infrastructure.first_admin import make_first_admin
from infrastructure.logs import marks
from infrastructure.process import tune
from infrastructure.provenance import provenance
from infrastructure.roles import OPERATIONS_PORTS, Role
from infrastructure.server.addresses import CannotListen, free_address, grpc_place
from infrastructure.server.http import HttpServer
from infrastructure.server.readiness import readiness_of
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from infrastructure.telemetry.observer import observer_of
from infrastructure.work import work
from interfaces.http.access_log import AccessLog
from interfaces.http.app import Outermost, create_app
from interfaces.http.bulk import Intake
from interfaces.http.operations import Health

if TYPE_CHECKING:
    from infrastructure.server.grpc import GrpcServer

log = logging.getLogger("usersd")


def serve(
    role: Role, settings: Settings, standing: Standing, keys: Keys, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` hears the address. Raises CannotListen, AppenderDied."""
    uvloop.run(_serve(role, settings, standing, keys, ready))


async def _serve(
    role: Role, settings: Settings, standing: Standing, keys: Keys, ready: Callable[[str], None]
) -> None:
    # Before anything else: whoever is ended while it starts ends as one that served.
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, port = address_of(settings, role)
    api_port = port if role.answers else settings.http_port
    async with open_service(settings, standing, keys, port=api_port, role=role) as service:
        if role.answers:
            await reapply_at_start(service.bus, service.erasure)
            await make_first_admin(service.bus, settings)
        leaving = asyncio.Event()
        app = application(service, settings, role=role, leaving=leaving)
        server = HttpServer(app, settings, host, port)
        tasks = [asyncio.create_task(_watched(coroutine)) for coroutine in work(role, service)]
        grpc = await serve_grpc(service, settings, standing, app) if role.answers else None
        tune()
        serving = server.start()
        _heed_hang_ups(server, stop)
        ready(_url(settings, port))
        stopping = asyncio.create_task(stop.wait())
        dying = asyncio.create_task(service.appender.died.wait())
        await asyncio.wait({stopping, serving, dying}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise CannotListen(f"The HTTP server ended by itself: {serving.exception() or 'no reason given'}")
        leaving.set()
        server.announce_end()
        if grpc:
            grpc.announce_end()
        if not dying.done():
            await _until_others_know(settings, role, stop)
        log.info("stopping: requests in flight are finished first")
        within = settings.shutdown_timeout.total_seconds()
        await asyncio.gather(server.stop(within), *([grpc.stop(within)] if grpc else []))
        app.flush()
        await _end([*tasks, dying])
        if role.does(Role.SWEEPER):
            await service.checkpointer.finish()
        if not dying.cancelled():
            raise AppenderDied("The task that appends has died; this process ends, to be started again.")


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _heed_hang_ups(server: HttpServer, stop: asyncio.Event) -> None:
    """SIGHUP means that a terminal has gone, or, where there never was one, that certificates are new."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heed = stop.set if sys.stdin is not None and sys.stdin.isatty() else server.read_again
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heed)


async def _until_others_know(settings: Settings, role: Role, stop: asyncio.Event) -> None:
    """Serve on for the time that load balancers need to look away; a second signal ends it at once."""
    if settings.shutdown_delay and role.answers:
        delay = settings.shutdown_delay.total_seconds()
        log.info("stopping: unready from now on, and serving for %.0f s more", delay)
        stop.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()


async def serve_grpc(
    service: Service, settings: Settings, standing: Standing, app: Outermost
) -> GrpcServer | None:
    """Begin to serve gRPC, unless the settings leave it out. Raises CannotListen."""
    if not settings.grpc_enabled:
        return None
    # Imported here because the library is large and not everybody serves gRPC.
    from infrastructure.server.grpc import GrpcServer

    place = grpc_place(settings)
    if place.warning:
        log.warning("%s", place.warning)
    note = app.access_log.add_call if app.access_log else None
    server = GrpcServer(service, settings, place, readiness_of(service), note)
    address = await server.start()
    if standing.servers:
        standing.servers.announce(grpc=address)
    log.info("gRPC is ready at %s", address)
    return server


def application(
    service: Service,
    settings: Settings,
    more_routes: Sequence[HTTPRouteHandler] = (),
    role: Role = Role.RUN,
    leaving: asyncio.Event | None = None,
) -> Outermost:
    """The HTTP application of a role, with whatever routes a caller adds."""
    built = provenance()
    return create_app(
        service.bus,
        jwks_of=lambda: service.tokens.jwks,
        health_facts=Health(
            version=version("usersd"),
            commit=built.commit,
            build_time=built.build_time,
            instance_id=service.instance_id,
        ),
        readiness=readiness_of(service, answers=role.answers, leaving=leaving),
        max_body_bytes=settings.http_max_body_bytes,
        body_timeout=settings.http_read_timeout.total_seconds(),
        bulk=Intake(max_lines=settings.bulk_max_lines, max_bytes=settings.bulk_max_bytes, leaving=leaving),
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
        exposition=service.metrics.render,
        observer=observer_of(service.metrics, service.tracing),
        access_log=AccessLog(_to_stdout, marks()) if settings.log_level in ("debug", "info") else None,
        more_routes=more_routes,
        only_operations=not role.answers,
    )


def _to_stdout(lines: bytes) -> None:
    sys.stdout.write(lines.decode())
    sys.stdout.flush()


async def _watched(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        await coroutine
    except Exception:
        log.exception("a reader of the log ended by itself")
        raise


def address_of(settings: Settings, role: Role = Role.RUN) -> tuple[str, int]:
    """The address to listen on, after trying it. Raises CannotListen."""
    host = settings.http_host or "0.0.0.0"  # noqa: S104
    if role.answers:
        return free_address(host, settings.http_port, "HTTP_PORT")
    chosen = settings.operations_port
    return free_address(host, OPERATIONS_PORTS[role] if chosen is None else chosen, "OPERATIONS_PORT")


def _url(settings: Settings, port: int) -> str:
    scheme = "https" if settings.http_server_cert else "http"
    named = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    return f"{scheme}://{named}:{port}"
