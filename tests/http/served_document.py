"""The OpenAPI document as the service makes it, a walk over its operations, and what it tells of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from litestar import Litestar

from interfaces.http.app import routes
from interfaces.http.openapi import document

UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/{file}"}
PAGES = {("GET", "/password/reset"), ("POST", "/password/reset"), ("POST", "/verify-email")}
"""For people, behind paths that programs use too."""


def made() -> dict[str, Any]:
    """The document, as a client would read it."""
    read: dict[str, Any] = json.loads(json.dumps(document(Litestar(routes(), openapi_config=None))))
    return read


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def tells_of(method: str, sent: str, status: int) -> bool:
    """Whether the document says that a request may be answered so; `sent` is a path as a client sends it."""
    paths = _documented()
    path = _template(paths, sent.rstrip("/") or "/")
    if path is None or method.lower() not in paths[path]:
        left_out = sent in UNDOCUMENTED or (method, sent) in PAGES or sent.startswith("/docs/")
        return left_out or status in (404, 405, 204)
    return str(status) in paths[path][method.lower()]["responses"]


@cache
def _documented() -> dict[str, Any]:
    paths: dict[str, Any] = made()["paths"]
    return paths


def _template(paths: dict[str, Any], sent: str) -> str | None:
    """The documented path that a path matches, literal ones first."""
    if sent in paths:
        return sent
    for path in paths:
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), sent):
            return path
    return None
