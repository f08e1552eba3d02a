"""The OpenAPI 3.1 document, made of the routes themselves, and a page that shows it without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from application.documents import Document
from application.messages import Tokens
from interfaces.http.caller import JSON, AnyRequest
from interfaces.http.errors import Problem

PATH = "/docs"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    ),
)

_ASSETS = {
    "docs.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}

_REFUSALS = {
    400: "The request is not valid; every fault is listed with its JSON Pointer.",
    401: "Nobody that can be believed is asking.",
    403: "The caller may not do this.",
    404: "There is no such user.",
    405: "This path does not take this method.",
    409: "The present state forbids it.",
    412: "The user has changed since the version in If-Match.",
    413: "The body is larger than this service takes.",
    415: "The body must be sent as application/json.",
    503: "The service cannot answer at the moment; Retry-After says when to come back.",
}

_ACCESS: dict[str, list[dict[str, list[str]]]] = {
    "signed in": [{"bearer": []}],
    "anyone or signed in": [{}, {"bearer": []}],
    "anyone": [{}],
}

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


@get("/openapi.json", sync_to_thread=False, opt={"undocumented": True})
def openapi_json(request: AnyRequest) -> Response[bytes]:
    """The document."""
    return Response(msgspec.json.encode(document(request.app)), media_type=JSON)


@get(PATH, sync_to_thread=False, opt={"undocumented": True})
def docs_page() -> Response[str]:
    """The page."""
    return Response(_asset("docs.html"), media_type=MediaType.HTML)


@get(PATH + "/{file:str}", sync_to_thread=False, opt={"undocumented": True})
def docs_asset(file: FromPath[str]) -> Response[str]:
    """What the page loads."""
    if file not in _ASSETS:
        raise NotFoundException
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(_asset(file), media_type=_ASSETS[file], headers=headers)


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1 for every documented route of an application."""
    paths: dict[str, dict[str, Any]] = {}
    shapes: set[type[msgspec.Struct]] = {Document, Tokens, Problem}
    for path, method, handler in _operations(app):
        paths.setdefault(path, {})[method] = _operation(path, method, handler)
        if shape := handler.opt.get("body"):
            shapes.add(shape)
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    (*_, components) = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "usersd",
            "version": "1",
            "summary": "Accounts: the HTTP contract of Mainflux Users and Magistrala Users.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": "users"}, {"name": "tokens"}, {"name": "operations"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components | {"UserPage": _page("users", {"$ref": "#/components/schemas/Document"})}
            | {"HistoryPage": _page("history", {"type": "object"})},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }  # fmt: skip


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.opt.get("undocumented") or not isinstance(handler, HTTPRouteHandler):
                continue
            path = _PARAMETER.sub(r"{\1}", route.path_format.rstrip("/") or "/")
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield path, str(method).lower(), handler


def _operation(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    text = handler.fn.__doc__ or getattr(handler.opt.get("command"), "__doc__", None) or ""
    lines = [line.strip() for line in text.strip().splitlines()]
    operation: dict[str, Any] = {
        "operationId": _operation_id(path, handler),
        "summary": lines[0] if lines else "",
        "description": "\n".join(lines[1:]).strip(),
        "tags": sorted(handler.tags or ()),
        "parameters": list(_parameters(path, handler)),
        "responses": _responses(path, handler),
    }
    if shape := handler.opt.get("body"):
        content = {JSON: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["security"] = _security(handler)
    return operation


def _operation_id(path: str, handler: HTTPRouteHandler) -> str:
    return handler.handler_name if not path.startswith("/keys/") else f"{handler.handler_name}_magistrala"


def _security(handler: HTTPRouteHandler) -> list[dict[str, list[str]]]:
    return _ACCESS[str(handler.opt.get("access", "signed in"))]


def _parameters(path: str, handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        uuid = {"type": "string", "format": "uuid"}
        yield {"name": name, "in": "path", "required": True, "schema": uuid}
    if query := handler.opt.get("query"):
        fields: dict[str, Any] = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
        for name, field in fields.items():
            yield {"name": name, "in": "query", "required": False, "schema": field}
    if handler.opt.get("conditional"):
        yield {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}


def _responses(path: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    success, name = handler.opt.get("answer", (200, None))
    schema = {"$ref": f"#/components/schemas/{name}"} if name else {"type": "object"}
    media_type = handler.opt.get("media_type", JSON)
    answers: dict[str, Any] = {
        str(success): {"description": "Done.", "content": {media_type: {"schema": schema}}}
    }
    if own := handler.opt.get("refuses_as"):
        refusal = {own: {"schema": {"type": "object"}}}
    else:
        refusal = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in sorted(_refusals(path, handler)):
        answers[str(status)] = {"description": _REFUSALS[status], "content": refusal}
    return answers


def _refusals(path: str, handler: HTTPRouteHandler) -> set[int]:
    opt = handler.opt
    refusals: set[int] = set(opt.get("refuses", ()))
    if opt.get("access", "signed in") != "anyone":
        refusals |= {401, 403, 503}
    if "body" in opt:
        refusals |= {400, 413, 415, 503}
    if "query" in opt:
        refusals |= {400}
    if "{user_id}" in path:
        refusals |= {404}
    if opt.get("conditional"):
        refusals |= {400, 409, 412}
    return refusals


def _page(key: str, item: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: {"type": "integer", "minimum": 0} for name in ("limit", "offset", "total")}
    properties = numbers | {key: {"type": "array", "items": item}}
    return {"type": "object", "required": list(properties), "properties": properties}


@cache
def _asset(name: str) -> str:
    return files("interfaces.http").joinpath("assets", name).read_text("utf-8")


HANDLERS = (openapi_json, docs_page, docs_asset)
