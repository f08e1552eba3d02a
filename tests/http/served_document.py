"""The OpenAPI document as the service makes it, and a walk over its operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from litestar import Litestar

from interfaces.http.app import routes
from interfaces.http.openapi import document


def made() -> dict[str, Any]:
    """The document, as a client would read it."""
    read: dict[str, Any] = json.loads(json.dumps(document(Litestar(routes(), openapi_config=None))))
    return read


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            yield method, path, operation
