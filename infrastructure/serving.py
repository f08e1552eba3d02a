"""Runs the service: the HTTP server and every reader of the log in one process, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import uvloop
from litestar.handlers import HTTPRouteHandler

from application.bus import Bus
from application.commands.create_first_admin import CreateFirstAdmin
from application.messages import Context
from domain import events
from domain.access import SYSTEM
from domain.errors import Conflict, Invalid
from domain.user import User
from domain.values import Role
from infrastructure.bootstrap import Service, open_service
from infrastructure.erasure.reapply import reapply_at_start
from infrastructure.postgres.migrate import MigrationError, pending
from infrastructure.process import tune
from infrastructure.reads.readiness import unread
from infrastructure.server.addresses import CannotListen, free_address, grpc_place
from infrastructure.server.http import HttpServer
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from infrastructure.telemetry.observer import observer_of
from interfaces.http.access_log import AccessLog
from interfaces.http.app import Outermost, create_app
from interfaces.http.operations import Health, Readiness
from projections.catalogue import READ_MODELS

if TYPE_CHECKING:
    from infrastructure.server.grpc import GrpcServer

_PAUSED = "SELECT string_agg(DISTINCT name, ', ') FROM projections WHERE live AND paused_at IS NOT NULL"

log = logging.getLogger("usersd")


class NoFirstAdmin(Exception):
    """There was never an admin, and the one of the settings cannot be made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The first admin cannot be made, and nobody could do what takes one: {why}.")


def serve(settings: Settings, standing: Standing, keys: Keys, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` hears the address. Raises CannotListen."""
    uvloop.run(_serve(settings, standing, keys, ready))


async def _serve(settings: Settings, standing: Standing, keys: Keys, ready: Callable[[str], None]) -> None:
    host, port = address_of(settings)
    async with open_service(settings, standing, keys, port=port) as service:
        await reapply_at_start(service.bus, service.erasure)
        await make_first_admin(service.bus, settings)
        app = application(service, settings, standing)
        server = HttpServer(app, settings, host, port)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = _background(service)
        grpc = await serve_grpc(service, settings, standing, app)
        tune()
        serving = server.start()
        scheme = "https" if settings.http_server_cert else "http"
        named = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
        ready(f"{scheme}://{named}:{port}")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise CannotListen(f"The HTTP server ended by itself: {serving.exception() or 'no reason given'}")
        log.info("stopping: requests in flight are finished first")
        within = settings.shutdown_timeout.total_seconds()
        await asyncio.gather(server.stop(within), *([grpc.stop(within)] if grpc else []))
        app.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
    server = GrpcServer(service, settings, place, _readiness(service, standing), note)
    address = await server.start()
    if standing.servers:
        standing.servers.announce(grpc=address)
    log.info("gRPC is ready at %s", address)
    return server


def application(
    service: Service, settings: Settings, standing: Standing, more_routes: Sequence[HTTPRouteHandler] = ()
) -> Outermost:
    """The HTTP application of a service, with whatever routes a caller adds."""
    return create_app(
        service.bus,
        jwks_of=lambda: service.tokens.jwks,
        health_facts=Health(
            version=version("usersd"),
            commit="ffffffff",
            build_time="1970-01-01_00:00:00",
            instance_id=service.instance_id,
        ),
        readiness=_readiness(service, standing),
        max_body_bytes=settings.http_max_body_bytes,
        body_timeout=settings.http_read_timeout.total_seconds(),
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
        exposition=service.metrics.render,
        observer=observer_of(service.metrics, service.tracing),
        access_log=AccessLog(_to_stdout) if settings.log_level in ("debug", "info") else None,
        more_routes=more_routes,
    )


def _to_stdout(lines: bytes) -> None:
    sys.stdout.write(lines.decode())
    sys.stdout.flush()


async def make_first_admin(bus: Bus, settings: Settings) -> None:
    """Make the admin of the settings, once in the life of a log."""
    if await bus.ports.accounts.had_admin():
        return
    secret = settings.admin_password.reveal()
    if not settings.secret_allowed(secret):
        raise NoFirstAdmin("MG_USERS_ADMIN_PASSWORD does not meet MG_USERS_PASS_REGEX")
    now = bus.ports.clock.now()
    command = CreateFirstAdmin(
        account=events.Registered(
            at=now,
            email=settings.admin_email,
            username=settings.admin_username,
            first_name=settings.admin_first_name,
            last_name=settings.admin_last_name,
            metadata={"role": "admin"},
            role=Role.ADMIN,
        ),
        user=User(id=uuid4()),
        secret=secret,
    )
    command_id = uuid4()
    context = Context(actor=SYSTEM, at=now, command_id=command_id, correlation_id=command_id)
    try:
        await bus.dispatch(command, context, wait=False)
        log.info("made the first admin")
    except Invalid as refusal:
        raise NoFirstAdmin(f"MG_USERS_ADMIN_PASSWORD is refused ({refusal.text.rstrip('.')})") from None
    except Conflict as refusal:
        # Another process was first, or the names belong to somebody already.
        log.warning("the first admin was not made: %s", refusal.text)


def _background(service: Service) -> list[asyncio.Task[None]]:
    work: list[Coroutine[Any, Any, Any]] = [projector.run() for projector in service.projectors]
    work += [relay.run() for relay in service.relays] + [reactor.run() for reactor in service.reactors]
    work += [service.mailer.run(), service.scheduler.run(), service.erasure.run()]
    work.append(service.checkpointer.run())
    return [asyncio.create_task(_watched(coroutine)) for coroutine in work]


async def _watched(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        await coroutine
    except Exception:
        log.exception("a reader of the log ended by itself")
        raise


def address_of(settings: Settings) -> tuple[str, int]:
    """The address to listen on, after trying it. Raises CannotListen."""
    return free_address(settings.http_host or "0.0.0.0", settings.http_port, "HTTP")  # noqa: S104


def _readiness(service: Service, standing: Standing) -> Readiness:
    async def readiness() -> dict[str, str]:
        return {
            "postgres": await _postgres(service),
            "schema": await asyncio.to_thread(_schema, standing),
            "read_models": await _read_models(service),
            **await _paused(service),
        }

    return readiness


async def _postgres(service: Service) -> str:
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            await connection.execute("SELECT 1")
        return "ok"
    except Exception as error:
        return type(error).__name__


async def _read_models(service: Service) -> str:
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            return await unread(connection, READ_MODELS)
    except Exception as error:
        return type(error).__name__


async def _paused(service: Service) -> dict[str, str]:
    """The read models that operators have paused; they answer as they are, so nobody is unready for it."""
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            row = await (await connection.execute(_PAUSED)).fetchone()
    except Exception:
        return {}
    return {"paused": row[0]} if row and row[0] else {}


def _schema(standing: Standing) -> str:
    try:
        return "ok" if not pending(standing.conninfo) else "migrations are missing: run usersd migrate"
    except (psycopg.Error, MigrationError) as error:
        return type(error).__name__
