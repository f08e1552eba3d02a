"""What counts and traces requests, as the HTTP interface knows it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

TRACEPARENT = "usersd.traceparent"
"""Where an observer leaves the span (W3C Trace Context) under which the request is carried out."""


class Observer(Protocol):
    """Hears of every request, also of those that are refused before any handler."""

    def began(self, scope: MutableMapping[str, Any]) -> None:
        """A request has come in; what is put into its scope is still there when it has ended."""

    def ended(self, scope: MutableMapping[str, Any], route: str, status: int, seconds: float) -> None:
        """It was answered. `route` is the template, or `unmatched`; never the path that was sent."""
