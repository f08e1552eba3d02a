"""The operations of the service, as its own document lists them, and the pages that show the document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"

PAGES = ("/openapi.json", "/docs", "/docs/docs.js")


@dataclass(frozen=True)
class Operation:
    """One method of one path; the names of its query parameters and headers."""

    name: str
    method: str
    path: str
    query: tuple[str, ...]
    headers: tuple[str, ...]
    has_body: bool


def operations() -> list[Operation]:
    """The pages, and every operation of docs/openapi.json in its order."""
    paths = json.loads(_DOCUMENT.read_text("utf-8"))["paths"]
    pages = [Operation(path, "GET", path, (), (), has_body=False) for path in PAGES]
    return pages + [
        Operation(
            name=operation["operationId"],
            method=method.upper(),
            path=path,
            query=_named(operation, "query"),
            headers=_named(operation, "header"),
            has_body="requestBody" in operation,
        )
        for path, methods in paths.items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "operationId" in operation
    ]


def _named(operation: dict[str, list[dict[str, str]]], place: str) -> tuple[str, ...]:
    return tuple(given["name"] for given in operation.get("parameters", []) if given["in"] == place)
