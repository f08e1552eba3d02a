"""Puts the document together: one operation per route and method, and the schemas they refer to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from interfaces.http.openapi.operations import operation
from interfaces.http.openapi.schemas import components

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_METHODS = ("get", "post", "put", "patch", "delete")
_REFERENCE = "#/components/schemas/"


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1 for every documented route of an application."""
    paths: dict[str, dict[str, Any]] = {}
    shapes: set[type[msgspec.Struct]] = set()
    for path, method, handler in _operations(app):
        paths.setdefault(path, {})[method] = operation(path, method, handler)
        if shape := handler.opt.get("body"):
            shapes.add(shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "usersd",
            "version": "1",
            "summary": "Accounts: the HTTP contract of Mainflux Users and Magistrala Users.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in ("users", "tokens", "links", "security", "oauth", "operations")],
        "paths": {path: dict(sorted(paths[path].items(), key=_in_turn)) for path in sorted(paths)},
        "components": {
            "schemas": _used(components(shapes), paths),
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token.",
                },
                "service": {
                    "type": "http", "scheme": "basic",
                    "description": "Id and secret of a service account (client_secret_basic of RFC 6749).",
                },
                "refresh": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A refresh token; it is good for nothing but going on with its session.",
                },
            },
        },
    }  # fmt: skip


def _in_turn(found: tuple[str, Any]) -> int:
    """Where a method stands among those of its path; the routes themselves come in no certain order."""
    return _METHODS.index(found[0])


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.opt.get("undocumented") or not isinstance(handler, HTTPRouteHandler):
                continue
            path = _PARAMETER.sub(r"{\1}", route.path_format.rstrip("/") or "/")
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield path, str(method).lower(), handler


def _used(schemas: dict[str, Any], paths: Any) -> dict[str, Any]:
    """The schemas that an operation leads to, by however many steps."""
    wanted, found = list(_references(paths)), set[str]()
    while wanted:
        if (name := wanted.pop()) not in found:
            found.add(name)
            wanted += _references(schemas[name])
    return {name: schemas[name] for name in sorted(found)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference.removeprefix(_REFERENCE)
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)
