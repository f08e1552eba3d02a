"""Runs the service: the HTTP server and every reader of the log in one process, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from typing import Any, NoReturn
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
from infrastructure.postgres.migrate import MigrationError, pending
from infrastructure.process import tune
from infrastructure.server.http import HttpServer
from infrastructure.settings import Settings
from infrastructure.standing import Keys, Standing
from infrastructure.telemetry.observer import observer_of
from interfaces.http.access_log import AccessLog
from interfaces.http.app import Outermost, create_app
from interfaces.http.operations import Health

log = logging.getLogger("usersd")


class CannotListen(Exception):
    """The address is taken or not ours."""


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
        await make_first_admin(service.bus, settings)
        app = application(service, settings, standing)
        server = HttpServer(app, settings, host, port)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = _background(service)
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
        await server.stop(settings.shutdown_timeout.total_seconds())
        app.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def application(
    service: Service, settings: Settings, standing: Standing, more_routes: Sequence[HTTPRouteHandler] = ()
) -> Outermost:
    """The HTTP application of a service, with whatever routes a caller adds."""

    async def readiness() -> dict[str, str]:
        return {"postgres": await _postgres(service), "schema": await asyncio.to_thread(_schema, standing)}

    return create_app(
        service.bus,
        jwks_of=lambda: service.tokens.jwks,
        health_facts=Health(
            version=version("usersd"),
            commit="ffffffff",
            build_time="1970-01-01_00:00:00",
            instance_id=service.instance_id,
        ),
        readiness=readiness,
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
    work += [service.relay.run(), service.mailer.run(), service.scheduler.run(), service.erasure.run()]
    return [asyncio.create_task(_watched(coroutine)) for coroutine in work]


async def _watched(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        await coroutine
    except Exception:
        log.exception("a reader of the log ended by itself")
        raise


def address_of(settings: Settings) -> tuple[str, int]:
    """The address to listen on, after trying it. Raises CannotListen."""
    host, port = settings.http_host or "0.0.0.0", settings.http_port  # noqa: S104
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        for candidate in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if candidate[0] is socket.AF_INET:
                family, kind, _, _, address = candidate
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return str(address[0]), probe.getsockname()[1]
    except OSError as error:
        _cannot_listen(host, port, error)


def _cannot_listen(host: str, port: int, error: OSError) -> NoReturn:
    raise CannotListen(
        f"Cannot listen on {host}:{port}: {error.strerror or error}. "
        "Set MG_USERS_HTTP_HOST and MG_USERS_HTTP_PORT to an address of this machine that is free."
    ) from None


async def _postgres(service: Service) -> str:
    try:
        async with service.pool.connection(timeout=2.0) as connection:
            await connection.execute("SELECT 1")
        return "ok"
    except Exception as error:
        return type(error).__name__


def _schema(standing: Standing) -> str:
    try:
        return "ok" if not pending(standing.conninfo) else "migrations are missing: run usersd migrate"
    except (psycopg.Error, MigrationError) as error:
        return type(error).__name__
