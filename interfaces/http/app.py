"""The HTTP application: routes, error mapping, and one outermost layer for what every answer carries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from random import getrandbits
from time import perf_counter
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from application.bus import Bus
from domain.errors import Refusal
from interfaces.http import openapi, pages
from interfaces.http.access_log import AccessLog
from interfaces.http.bulk import Bulk, Intake
from interfaces.http.cors import Cors
from interfaces.http.errors import on_anything_else, on_http_exception, on_refusal
from interfaces.http.network import Callers, Network
from interfaces.http.oauth import OAuth, oauth_metadata
from interfaces.http.observing import Observer
from interfaces.http.operations import Exposition, Health, Readiness, health, livez, metrics, readyz
from interfaces.http.passwords import Passwords
from interfaces.http.portability import Portability
from interfaces.http.sessions import Sessions
from interfaces.http.throttling import Throttling
from interfaces.http.tokens import TokenCommands, jwks
from interfaces.http.user_commands import UserCommands
from interfaces.http.user_queries import UserQueries
from interfaces.http.verification import Verification
from interfaces.request_id import REQUEST_ID

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

# RFC 6797: of no meaning over plain HTTP. Other names below ours are none of our business.
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
# What does not say otherwise may be a token or somebody's data.
_NO_STORE = (b"cache-control", b"no-store")
# Where this is missing, the HTTP server adds its own name.
_SERVER = (b"server", b"usersd")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


AsgiMessage = MutableMapping[str, Any]


class Outermost:
    """One ASGI layer around Litestar, so that refusals before any handler are counted and marked too."""

    def __init__(
        self,
        app: Litestar,
        access_log: AccessLog | None = None,
        observer: Observer | None = None,
        cors_origins: Sequence[str] = (),
    ) -> None:
        self.app = app
        self._inner: Any = Cors(app, cors_origins) if cors_origins else app
        self._observer = observer
        self._access_log = access_log
        # Litestar's own answer names only the methods that were registered first (litestar #4169).
        self._allow = {
            route.path_format: ", ".join(sorted(map(str, route.methods))).encode()
            for route in app.routes
            if isinstance(route, HTTPRoute)
        }

    @property
    def access_log(self) -> AccessLog | None:
        """Where a line per request goes; calls over gRPC leave theirs there too."""
        return self._access_log

    def flush(self) -> None:
        """Write what the access log still holds."""
        if self._access_log is not None:
            self._access_log.flush()

    async def __call__(
        self,
        scope: AsgiMessage,
        receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        inner = self._inner
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        started = perf_counter()
        if self._observer is not None:
            self._observer.began(scope)
        request_id = scope["usersd.request_id"] = _request_id(scope["headers"])
        REQUEST_ID.set(request_id)
        marks = [*_security_headers(scope["path"]), _SERVER, (b"x-request-id", request_id.encode())]
        if scope["scheme"] == "https":
            marks.append(_STRICT_TRANSPORT)
        status = 500

        async def marked(message: AsgiMessage) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                unsaid = all(name.lower() != _NO_STORE[0] for name, _ in headers)
                message["headers"] = [*headers, *marks, _NO_STORE] if unsaid else [*headers, *marks]
                if scope["method"] == "OPTIONS" and status == 204 and "path_template" in scope:
                    allow = self._allow[scope["path_template"]]
                    others = [header for header in message["headers"] if header[0].lower() != b"allow"]
                    message["headers"] = [*others, (b"allow", allow)]
            await send(message)

        try:
            await inner(scope, receive, marked)
        finally:
            # A server may have no context for each request: what comes next is not on account of this one.
            REQUEST_ID.set("")
            route = scope.get("path_template") or "unmatched"
            seconds = perf_counter() - started
            if self._observer is not None:
                self._observer.ended(scope, route, status, seconds)
            if self._access_log is not None:
                self._access_log.add(scope["method"], route, status, seconds, request_id)


def create_app(
    bus: Bus,
    *,
    jwks_of: Callable[[], Mapping[str, Any]],
    health_facts: Health,
    readiness: Readiness,
    max_body_bytes: int,
    body_timeout: float,
    bulk: Intake,
    trusted_proxies: Sequence[Network] = (),
    cors_origins: Sequence[str] = (),
    exposition: Exposition,
    observer: Observer | None = None,
    access_log: AccessLog | None = None,
    more_routes: Sequence[HTTPRouteHandler] = (),
    only_operations: bool = False,
) -> Outermost:
    """The application around a bus; or, of all its routes, those for who runs the process."""
    app = Litestar(
        route_handlers=[*([_operations()] if only_operations else routes()), *more_routes],
        exception_handlers={
            Refusal: on_refusal,
            HTTPException: on_http_exception,
            Exception: on_anything_else,
        },
        state=State(
            {
                "bus": bus,
                "jwks": jwks_of,
                "health": health_facts,
                "readiness": readiness,
                "exposition": exposition,
                "body_timeout": body_timeout,
                "bulk": bulk,
                "callers": Callers(trusted_proxies),
            },
            deep_copy=False,
        ),
        request_max_body_size=max_body_bytes,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    return Outermost(app, access_log, observer, cors_origins)


def routes() -> list[Router | HTTPRouteHandler]:
    """Every route of the service."""
    return [
        Router(path="/", route_handlers=[UserCommands, UserQueries, Bulk, Portability], tags=["users"]),
        Router(path="/", route_handlers=[Passwords, Verification], tags=["links"]),
        *pages.HANDLERS,
        Router(path="/", route_handlers=[Throttling], tags=["security"]),
        Router(path="/", route_handlers=[OAuth, oauth_metadata], tags=["oauth"]),
        Router(path="/", route_handlers=[TokenCommands, Sessions, jwks], tags=["tokens"]),
        _operations(),
        *openapi.HANDLERS,
    ]


def _operations() -> Router:
    return Router(path="/", route_handlers=[health, livez, readyz, metrics], tags=["operations"])


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    # Tells requests apart; guards nothing, so it need not be hard to guess.
    return f"{getrandbits(128):032x}"


def _security_headers(path: str) -> tuple[tuple[bytes, bytes], ...]:
    if path in pages.PATHS:
        return pages.SECURITY_HEADERS
    return openapi.SECURITY_HEADERS if path.startswith(openapi.PATH) else SECURITY_HEADERS
